// The bodies of the cache as files: `bodies/ab/DIGEST`, and `tmp/` for what is on its way in or out. A name is a
// digest and nothing else, so nothing that was cached can choose a path; a file under its digest is whole, because
// it got that name by a rename.
import { randomUUID } from 'node:crypto'
import { chmodSync, constants, mkdirSync, renameSync, rmSync, unlink, unlinkSync } from 'node:fs'
import { open, opendir, readdir, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { DamagedBody, faultCode } from './cache-fault.ts'

const digestSyntax = /^[0-9a-f]{64}$/
const prefixSyntax = /^[0-9a-f]{2}$/
/** freeing the blocks of a larger file takes too long to wait for */
const removedAtOnceBytes = 1_048_576
const sweepStep = 64
const sweepPauseMs = 5

export class BodyFiles {
  readonly #bodies: string
  readonly #tmp: string
  readonly #onFault: (error: unknown) => void

  /** Makes the folders and empties `tmp/`. Throws what the file system throws. */
  constructor(dir: string, onFault: (error: unknown) => void) {
    this.#bodies = join(dir, 'bodies')
    this.#tmp = join(dir, 'tmp')
    this.#onFault = onFault
    mkdirSync(this.#bodies, { recursive: true, mode: 0o700 })
    chmodSync(dir, 0o700)
    rmSync(this.#tmp, { recursive: true, force: true })
    mkdirSync(this.#tmp, { mode: 0o700 })
  }

  /** A file that is not there yet. */
  async create(): Promise<{ readonly path: string; readonly handle: FileHandle }> {
    const path = join(this.#tmp, randomUUID())
    return { path, handle: await open(path, 'wx', 0o600) }
  }

  /** Gives a whole file its name, in place of an equal one. Throws what the file system throws. */
  adopt(temporary: string, digest: string): void {
    const path = this.#path(digest)
    try {
      renameSync(temporary, path)
    } catch (error) {
      if (faultCode(error) !== 'ENOENT') throw error
      mkdirSync(join(this.#bodies, digest.slice(0, 2)), { recursive: true, mode: 0o700 })
      renameSync(temporary, path)
    }
  }

  /** Throws DamagedBody where there is no such file. */
  async open(digest: string): Promise<FileHandle> {
    try {
      return await open(this.#path(digest), constants.O_RDONLY | constants.O_NOFOLLOW)
    } catch (error) {
      if (!['ENOENT', 'ENOTDIR', 'ELOOP'].includes(faultCode(error) ?? '')) throw error
      throw new DamagedBody(digest, 'is not there', { cause: error })
    }
  }

  /** Who reads it reads on. The name is free when this returns. */
  remove(digest: string, bytes: number): void {
    try {
      if (bytes <= removedAtOnceBytes) {
        unlinkSync(this.#path(digest))
        return
      }
      const temporary = join(this.#tmp, randomUUID())
      renameSync(this.#path(digest), temporary)
      this.discard(temporary)
    } catch (error) {
      if (faultCode(error) !== 'ENOENT') this.#onFault(error)
    }
  }

  /** A temporary file that nobody wants. */
  discard(temporary: string): void {
    unlink(temporary, (error) => {
      if (error !== null && error.code !== 'ENOENT') this.#onFault(error)
    })
  }

  /** Removes files that the index does not know, a few at a time, until all were seen or it is stopped. */
  async sweep(isKnown: (digest: string) => boolean, isStopped: () => boolean): Promise<void> {
    let seen = 0
    for (const prefix of await readdir(this.#bodies)) {
      if (isStopped()) return
      if (!prefixSyntax.test(prefix)) continue
      for await (const { name } of await opendir(join(this.#bodies, prefix))) {
        if (++seen % sweepStep === 0) await delay(sweepPauseMs)
        if (isStopped()) return
        // no turn of the loop between the question and the act
        if (digestSyntax.test(name) && name.startsWith(prefix) && !isKnown(name)) this.remove(name, 0)
      }
    }
  }

  #path(digest: string): string {
    if (!digestSyntax.test(digest)) throw new Error('a row of the cache holds no digest')
    return join(this.#bodies, digest.slice(0, 2), digest)
  }
}
