// The revocation lists that the operator has put on this machine: read before the proxy starts, looked at every second,
// read again when they change. Must never forget a list because its file is gone or broken: what it named stays revoked,
// and the operator is told.
import { constants } from 'node:fs'
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DerError } from '../ca/der-reader.ts'
import { pemBlocks } from '../ca/pem.ts'
import { readRevocationList, type RevocationList } from '../ca/revocation-list.ts'
import type { Clock } from '../clock.ts'

export interface RevocationSettings {
  /** absolute */
  readonly crlFiles: readonly string[]
  /** every `*.crl`, `*.pem` and `*.der` in it; absolute */
  readonly crlDir: string | undefined
}

export interface RevocationOptions extends RevocationSettings {
  readonly clock: Clock
  /** one sentence for the operator, and the file it is about */
  readonly onWarning: (path: string, message: string) => void
  /** other lists are in force; not called for the first ones */
  readonly onChange: () => void
}

/** A list with the file it came from. */
export interface FiledList extends RevocationList {
  readonly path: string
}

/** `unread`: files whose last state could not be read; `unsigned`: lists that bear no signature of the authority they name */
export interface RevocationHealth {
  readonly lists: number
  readonly named: number
  readonly expired: number
  readonly unread: number
  readonly unsigned: number
}

interface HeldFile {
  readonly stamp: string
  /** undefined: it has never been readable */
  readonly lists: readonly FiledList[] | undefined
  readonly wrong: string | undefined
}

const lookEveryMs = 1000
/** what the longest length that is read here can say, and Base64 of it */
const maxFileBytes = 24 * 1024 * 1024
const maxFiles = 1000
const isListName = /^[^.].*\.(?:crl|pem|der)$/i

export class RevocationLists {
  readonly #options: RevocationOptions
  readonly #files = new Map<string, HeldFile>()
  readonly #doubted = new Set<FiledList>()
  readonly #proven = new WeakSet<FiledList>()
  readonly #toldExpired = new Set<FiledList>()
  #byIssuer: ReadonlyMap<string, readonly FiledList[]> = new Map()
  #folderWrong: string | undefined
  #timer: NodeJS.Timeout | undefined
  #isLooking = false

  constructor(options: RevocationOptions) {
    this.#options = options
  }

  /** Reads everything for the first time and keeps looking. Rejects with an Error that names each file that cannot be used, and what to do. */
  async open(): Promise<void> {
    const { crlFiles, crlDir } = this.#options
    if (crlFiles.length === 0 && crlDir === undefined) return
    await this.#look()
    const wrong = [...this.#wrongs()]
    if (wrong.length > 0) {
      throw new Error(`revocation lists cannot be used: ${wrong.map(({ path, why }) => `\`${path}\`: ${why}`).join('; ')}; fetch them again from their authority, or take them out of \`origin_tls\` in the settings`)
    }
    if (crlDir !== undefined && this.#files.size === crlFiles.length) this.#options.onWarning(crlDir, 'there is no revocation list in this folder: `*.crl`, `*.pem` and `*.der` are read')
    this.#timer = setInterval(() => void this.#lookAgain(), lookEveryMs).unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  get isEmpty(): boolean {
    return this.#byIssuer.size === 0
  }

  /** The lists of one authority, by its name as `readIssued` spells it. */
  of(issuer: string): readonly FiledList[] {
    return this.#byIssuer.get(issuer) ?? []
  }

  /** A certificate of this list's authority was seen, and its key has not signed the list. */
  doubt(list: FiledList): void {
    // authorities that have changed keys have two of one name
    if (this.#doubted.has(list) || this.#proven.has(list)) return
    this.#doubted.add(list)
    this.#options.onWarning(list.path, 'this revocation list does not bear the signature of the authority that it names, and nothing is refused because of it: fetch it again from that authority')
  }

  /** Whatever was thought before: the authority has signed it. */
  trust(list: FiledList): void {
    this.#proven.add(list)
    this.#doubted.delete(list)
  }

  /** Undefined where there are to be none. */
  health(): RevocationHealth | undefined {
    const { crlFiles, crlDir, clock } = this.#options
    if (crlFiles.length === 0 && crlDir === undefined) return undefined
    const lists = [...this.#byIssuer.values()].flat()
    return {
      lists: lists.length,
      named: lists.reduce((sum, { size }) => sum + size, 0),
      expired: lists.filter((list) => isExpired(list, clock.now())).length,
      unread: [...this.#wrongs()].length,
      unsigned: this.#doubted.size,
    }
  }

  async #lookAgain(): Promise<void> {
    if (this.#isLooking) return
    const before = new Map([...this.#wrongs()].map(({ path, why }) => [path, why]))
    if (await this.#look()) this.#options.onChange()
    for (const { path, why } of this.#wrongs()) {
      if (before.get(path) !== why) this.#options.onWarning(path, `the revocation list cannot be read, and what was read of it before stays in force: ${why}`)
    }
  }

  /** Reads what has changed. Never rejects; resolves to whether other lists are in force. */
  async #look(): Promise<boolean> {
    this.#isLooking = true
    const present = await this.#paths()
    let isChanged = false
    for (const path of present) if (await this.#lookAt(path)) isChanged = true
    if (isChanged) this.#index()
    this.#tellExpired()
    this.#isLooking = false
    return isChanged
  }

  /** Those that are named, those in the folder, and those that were in the folder. */
  async #paths(): Promise<ReadonlySet<string>> {
    const { crlFiles, crlDir } = this.#options
    const paths = new Set([...crlFiles, ...this.#files.keys()])
    if (crlDir === undefined) return paths
    try {
      const names = (await readdir(crlDir)).filter((name) => isListName.test(name)).toSorted()
      for (const name of names) paths.add(join(crlDir, name))
      this.#folderWrong = paths.size > maxFiles ? `more than ${maxFiles} files` : undefined
    } catch (error) {
      this.#folderWrong = messageOf(error)
    }
    return new Set([...paths].slice(0, maxFiles))
  }

  async #lookAt(path: string): Promise<boolean> {
    const before = this.#files.get(path)
    let stamp = ''
    try {
      stamp = await stampOf(path)
      if (stamp === before?.stamp) return false
      this.#files.set(path, { stamp, lists: await readLists(path), wrong: undefined })
      return true
    } catch (error) {
      // what cannot be read now may be so in a second, as it stands
      this.#files.set(path, { stamp: error instanceof DerError ? stamp : '', lists: before?.lists, wrong: messageOf(error) })
      return false
    }
  }

  #index(): void {
    const byIssuer = new Map<string, FiledList[]>()
    const all = [...this.#files.values()].flatMap(({ lists }) => lists ?? [])
    for (const list of all) byIssuer.set(list.issuer, [...(byIssuer.get(list.issuer) ?? []), list])
    this.#byIssuer = byIssuer
    for (const known of [this.#doubted, this.#toldExpired]) {
      for (const list of known) if (!all.includes(list)) known.delete(list)
    }
  }

  #tellExpired(): void {
    const now = this.#options.clock.now()
    for (const list of [...this.#byIssuer.values()].flat()) {
      if (!isExpired(list, now) || this.#toldExpired.has(list)) continue
      this.#toldExpired.add(list)
      this.#options.onWarning(list.path, `the revocation list was due to be replaced at ${new Date(list.nextUpdateMs ?? 0).toISOString()}: what it names stays refused, and what was revoked since is not known`)
    }
  }

  *#wrongs(): Generator<{ readonly path: string; readonly why: string }> {
    const { crlDir } = this.#options
    if (crlDir !== undefined && this.#folderWrong !== undefined) yield { path: crlDir, why: this.#folderWrong }
    for (const [path, { wrong }] of this.#files) if (wrong !== undefined) yield { path, why: wrong }
  }
}

function isExpired({ nextUpdateMs }: RevocationList, nowMs: number): boolean {
  return nextUpdateMs !== undefined && nextUpdateMs < nowMs
}

/** mtime alone misses a file that was replaced by an older one. */
async function stampOf(path: string): Promise<string> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true })
  return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`
}

async function readLists(path: string): Promise<readonly FiledList[]> {
  const bytes = await readWhole(path)
  const encoded = bytes[0] === 0x30 ? [bytes] : pemBlocks(bytes.toString('latin1')).filter(({ label }) => label === 'X509 CRL' || label === 'CRL').map(({ der }) => der)
  if (encoded.length === 0) throw new DerError('it holds no revocation list, neither PEM (`X509 CRL`) nor DER')
  const lists: FiledList[] = []
  for (const der of encoded) lists.push({ ...(await readRevocationList(der)), path })
  return lists
}

async function readWhole(path: string): Promise<Buffer> {
  // what is no file must not be waited for
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const stats = await handle.stat()
    if (!stats.isFile()) throw new Error('it is not a file')
    if (stats.size > maxFileBytes) throw new Error(`it is larger than ${maxFileBytes} bytes`)
    return await handle.readFile()
  } finally {
    await handle.close()
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
