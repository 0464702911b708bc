// A git repository that an origin serves, filled from a working copy in the clients' home: what tests of clone, fetch and
// push begin with.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ClientHome } from './client-run.ts'
import { gitOrigin } from './git-origin.ts'
import type { Scope } from './scope.ts'

export interface Repository<W extends ClientHome> {
  readonly world: W
  /** runs git in a folder of the client's home and returns what it printed; anything but exit 0 fails */
  git(folder: string, ...args: readonly string[]): Promise<string>
  /** commits `content` as `name` in the working copy that the origin was filled from, and publishes it */
  publish(name: string, content: string): Promise<void>
}

/** A world whose origin serves one repository, `repo.git`, that has one commit on `main`. */
export async function repository<W extends ClientHome>(
  t: Scope, command: string, backend: string | undefined, startWorld: (answer: http.RequestListener) => Promise<W>,
): Promise<Repository<W>> {
  const served = mkdtempSync(join(tmpdir(), 'sallyport-git-'))
  t.teardown(() => rmSync(served, { recursive: true, force: true }))
  const world = await startWorld(gitOrigin(served, backend))
  const git = async (folder: string, ...args: readonly string[]): Promise<string> => {
    const { exitCode, output } = await world.run(command, args, { cwd: join(world.dir, folder) })
    if (exitCode !== 0) throw new Error(`git ${args.join(' ')}: exit ${exitCode}\n${output}`)
    return output
  }
  const bare = join(served, 'repo.git')
  mkdirSync(join(world.dir, 'source'))
  await git('.', 'init', '-q', '--bare', bare)
  await git('.', '-C', bare, 'symbolic-ref', 'HEAD', 'refs/heads/main')
  await git('.', '-C', bare, 'config', 'http.receivepack', 'true')
  await git('source', 'init', '-q')
  await git('source', 'checkout', '-q', '-b', 'main')
  const publish = async (name: string, content: string): Promise<void> => {
    writeFileSync(join(world.dir, 'source', name), content)
    await git('source', 'add', '.')
    await git('source', 'commit', '-q', '-m', name)
    await git('source', 'push', '-q', bare, 'main')
    await git('.', '-C', bare, 'update-server-info')
  }
  await publish('first.txt', 'first\n')
  return { world, git, publish }
}
