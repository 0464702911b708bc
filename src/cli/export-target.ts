// Where `audit export` writes its lines: stdout, or a file that is there whole or not at all.
import { randomBytes } from 'node:crypto'
import { link, open, rename, unlink, type FileHandle } from 'node:fs/promises'
import type { CommandIo } from './run.ts'

export interface ExportTarget {
  write(line: string): Promise<void>
  /** the lines are all there; throws where the file is there already and may not be replaced */
  finish(): Promise<void>
  /** takes back what was begun; after `finish` it does nothing */
  abandon(): Promise<void>
}

const chunkChars = 64 * 1024

export function stdoutTarget(io: CommandIo): ExportTarget {
  return { write: async (line) => io.out(`${line}\n`), finish: async () => undefined, abandon: async () => undefined }
}

/** Writes beside `path` under another name; only the end of it gives the file its name. Mode 0600. */
export async function fileTarget(path: string, mayReplace: boolean): Promise<ExportTarget> {
  const partial = `${path}.${randomBytes(4).toString('hex')}.partial`
  const file = await open(partial, 'wx', 0o600)
  return new FileTarget(file, partial, path, mayReplace)
}

class FileTarget implements ExportTarget {
  readonly #file: FileHandle
  readonly #partial: string
  readonly #path: string
  readonly #mayReplace: boolean
  #waiting = ''
  #isDone = false

  constructor(file: FileHandle, partial: string, path: string, mayReplace: boolean) {
    this.#file = file
    this.#partial = partial
    this.#path = path
    this.#mayReplace = mayReplace
  }

  async write(line: string): Promise<void> {
    this.#waiting += `${line}\n`
    if (this.#waiting.length >= chunkChars) await this.#flush()
  }

  async finish(): Promise<void> {
    await this.#flush()
    await this.#file.sync()
    if (this.#mayReplace) {
      await rename(this.#partial, this.#path)
    } else {
      // a link is made only where there is nothing: nobody's file is replaced, however late it came
      await link(this.#partial, this.#path)
      await unlink(this.#partial)
    }
    this.#isDone = true
    await this.#file.close()
  }

  async abandon(): Promise<void> {
    if (this.#isDone) return
    this.#isDone = true
    await this.#file.close()
    await unlink(this.#partial)
  }

  async #flush(): Promise<void> {
    const text = this.#waiting
    this.#waiting = ''
    await this.#file.appendFile(text, 'latin1')
  }
}
