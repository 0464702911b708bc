// Writes `policies/90-approved.toml`: an accepted proposal each, the file replaced as a whole and only after
// the policy compiled with it. Whatever goes wrong changes nothing; a reader sees the old file or the new one.
import { randomBytes } from 'node:crypto'
import { open, realpath, rename, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Problem } from '../policy/compile.ts'
import { addApproved } from './approved-edit.ts'
import type { ApprovedEntry } from './approved-edit.ts'
import { approvedFileName, readRegularFile, whyNot } from './policy-read.ts'

export type { ApprovedEntry } from './approved-edit.ts'

export interface ApprovedFileOptions {
  readonly policiesDir: string
  /** What is wrong with all layers when the file has this text. Errors refuse the entry. */
  check(text: string): Promise<readonly Problem[]>
}

/** The entry was not written. `message` is one sentence for an admin. */
export class ApprovedFileFault extends Error {
  override readonly name = 'ApprovedFileFault'
}

/** somebody else may be writing the file too */
const maxAttempts = 5

export class ApprovedFile {
  readonly #path: string
  readonly #options: ApprovedFileOptions
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: ApprovedFileOptions) {
    this.#path = join(options.policiesDir, approvedFileName)
    this.#options = options
  }

  /** On disk when it resolves, one after the other. Rejects with ApprovedFileFault. */
  add(entry: ApprovedEntry): Promise<'written' | 'present'> {
    const added = this.#after(this.#last, entry)
    this.#last = added
    return added
  }

  async #after(before: Promise<unknown>, entry: ApprovedEntry): Promise<'written' | 'present'> {
    // whoever asked for the one before is told how it ended
    await Promise.allSettled([before])
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const outcome = await this.#try(entry)
      if (outcome !== 'changed') return outcome
    }
    throw this.#fault('somebody else keeps writing it')
  }

  async #try(entry: ApprovedEntry): Promise<'written' | 'present' | 'changed'> {
    const old = await this.#read()
    const edit = addApproved(old.text, entry)
    if (edit === 'present') return 'present'
    if ('refused' in edit) throw this.#fault(edit.refused)
    const error = (await this.#options.check(edit.text)).find(({ severity }) => severity === 'error')
    if (error !== undefined) throw this.#fault(`the policy would not load with it: ${error.file}:${error.line}: ${error.message}`)
    if ((await this.#read()).text !== old.text) return 'changed'
    await this.#replace(old, edit.text)
    return 'written'
  }

  async #read(): Promise<{ readonly path: string; readonly text: string | undefined; readonly mode: number }> {
    try {
      // a link stays a link
      const path = await realpath(this.#path)
      const { bytes, mode } = await readRegularFile(path)
      return { path, mode: mode & 0o777, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) }
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return { path: this.#path, text: undefined, mode: 0o644 }
      throw this.#fault(error instanceof TypeError ? 'it is not UTF-8' : `it cannot be read: ${whyNot(error)}`)
    }
  }

  async #replace({ path, mode }: { readonly path: string; readonly mode: number }, text: string): Promise<void> {
    const folder = dirname(path)
    // hidden, and of another ending: never taken for a policy
    const draft = join(folder, `.${approvedFileName}.${randomBytes(6).toString('hex')}.tmp`)
    try {
      await writeWhole(draft, mode, text)
      await rename(draft, path)
      await syncFolder(folder)
    } catch (error) {
      await rm(draft, { force: true })
      throw this.#fault(`it cannot be written: ${whyNot(error)}`)
    }
  }

  #fault(why: string): ApprovedFileFault {
    return new ApprovedFileFault(`\`${this.#path}\` stays as it is: ${why}`)
  }
}

async function writeWhole(path: string, mode: number, text: string): Promise<void> {
  await using(await open(path, 'wx', mode), async (handle) => {
    // the umask does not decide who may read the policy
    await handle.chmod(mode)
    await handle.writeFile(text)
    await handle.sync()
  })
}

async function syncFolder(path: string): Promise<void> {
  await using(await open(path, 'r'), (handle) => handle.sync())
}

async function using(handle: FileHandle, work: (handle: FileHandle) => Promise<void>): Promise<void> {
  try {
    await work(handle)
  } finally {
    await handle.close()
  }
}
