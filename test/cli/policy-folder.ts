// A folder of policies for the tests of the commands that read them.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Command } from '../../src/cli/run.ts'
import { fakeIo } from './fake-io.ts'

export interface Said {
  readonly code: number
  readonly out: string
  readonly err: string
}

export interface PolicyFolder {
  /** holds `policies/` */
  readonly cwd: string
  readonly run: (...argv: string[]) => Promise<Said>
}

/** Writes the files below a new folder (`policies/10-a.toml`, `requirements.toml`) and runs the command there. */
export async function policyFolder(t: Test, command: Command, files: Record<string, string>): Promise<PolicyFolder> {
  const cwd = await mkdtemp(join(tmpdir(), 'policy-cli-'))
  t.teardown(() => rm(cwd, { recursive: true }))
  await mkdir(join(cwd, 'policies'))
  for (const [name, text] of Object.entries(files)) await writeFile(join(cwd, name), text)
  const run = async (...argv: string[]) => {
    const io = fakeIo(cwd)
    const code = await command.run(argv, io)
    return { code, out: io.stdout(), err: io.stderr() }
  }
  return { cwd, run }
}
