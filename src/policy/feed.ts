// A feed: a list of names from elsewhere, one a line or in hosts-file form, up to millions of them. A name
// covers what is below it, for whoever holds a name holds that too. What cannot be read is told, never
// silently left out.
import { ProxyError } from '../errors.ts'
import { parseCidr } from '../target/address.ts'
import type { Cidr } from '../target/address.ts'
import { parseHost } from '../target/host.ts'
import { coversBelow, coversName, NameTableBuilder } from './name-table.ts'
import type { NameTable } from './name-table.ts'

export interface FeedFault {
  /** 1-based */
  readonly line: number
  readonly text: string
  readonly message: string
}

export interface ParsedFeed {
  readonly table: NameTable
  readonly addresses: readonly { readonly cidr: Cidr; readonly text: string; readonly line: number }[]
  /** the first of the lines that cannot be read, and how many there are */
  readonly faults: readonly FeedFault[]
  readonly faultCount: number
}

const maxFaults = 5
const samples = 64
const sampleBytes = 1024
const newline = 0x0a
const hash = 0x23

// what hosts files say of the machine itself is not a denial
const ownNames: ReadonlySet<string> = new Set([
  'localhost', 'localhost.localdomain', 'local', 'broadcasthost', 'ip6-localhost', 'ip6-loopback', 'ip6-localnet',
  'ip6-mcastprefix', 'ip6-allnodes', 'ip6-allrouters', 'ip6-allhosts', '0.0.0.0',
])

/** Reads a feed. Comments start with `#` or `!`; a line that is blank otherwise is skipped. */
export function parseFeed(bytes: Uint8Array): ParsedFeed {
  return new FeedReader(bytes).read()
}

class FeedReader {
  readonly #bytes: Uint8Array
  readonly #names: NameTableBuilder
  readonly #addresses: { cidr: Cidr; text: string; line: number }[] = []
  readonly #faults: FeedFault[] = []
  #faultCount = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#names = new NameTableBuilder(expectedLines(bytes), bytes.length)
  }

  read(): ParsedFeed {
    const bytes = this.#bytes
    let line = 1
    // a byte order mark is not part of the first name
    let start = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0
    while (start < bytes.length) {
      let end = this.#names.addPlainLine(bytes, start, line)
      if (end === -1) {
        // a loop of our own: a million calls into the runtime cost more than the bytes do
        end = start
        while (end < bytes.length && bytes[end] !== newline) end++
        this.#line(start, end, line)
      }
      line++
      start = end + 1
    }
    return { table: this.#names.finish(), addresses: this.#addresses, faults: this.#faults, faultCount: this.#faultCount }
  }

  #line(from: number, to: number, line: number): void {
    const bytes = this.#bytes
    let start = from
    let end = to
    while (start < end && isBlank(bytes[start] ?? 0)) start++
    while (start < end && isBlank(bytes[end - 1] ?? 0)) end--
    if (start === end || bytes[start] === hash || bytes[start] === 0x21) return
    const added = this.#names.addPlainBytes(bytes, start, end, flagsOf(bytes, start, end), line)
    if (added === 'odd') this.#words(start, end, line)
  }

  /** Anything but one plain name: hosts-file form, upper case, comments, wildcards, addresses, faults. */
  #words(start: number, end: number, line: number): void {
    const written = String.fromCharCode(...this.#bytes.subarray(start, Math.min(end, start + 4096)))
    const text = written.split('#', 1)[0] ?? ''
    const words = text.split(/\s+/).filter((word) => word !== '')
    const [first = ''] = words
    const hostsForm = words.length > 1 && (parseCidr(first) !== undefined || first.includes('%'))
    if (!hostsForm && words.length > 1) {
      return this.#fault(line, written, 'more than one word on a line that does not start with an address')
    }
    for (const word of hostsForm ? words.slice(1) : words) this.#word(word, line, written, hostsForm)
  }

  #word(word: string, line: number, written: string, hostsForm: boolean): void {
    if (hostsForm && ownNames.has(word.toLowerCase())) return
    const cidr = parseCidr(word)
    if (cidr !== undefined) {
      if (cidr.prefix === 0) return this.#fault(line, written, 'a block that holds every address')
      this.#addresses.push({ cidr, text: word, line })
      return
    }
    const below = word.startsWith('*.')
    const name = below ? word.slice(2) : word.startsWith('**.') ? word.slice(3) : word.startsWith('.') ? word.slice(1) : word
    try {
      const host = parseHost(name)
      if (host.kind === 'ip') return this.#fault(line, written, 'an address where a name is expected')
      this.#names.addName(host.text, below ? coversBelow : host.text.includes('.') ? coversName | coversBelow : coversName, line)
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error
      this.#fault(line, written, error.detail)
    }
  }

  #fault(line: number, written: string, message: string): void {
    this.#faultCount++
    if (this.#faults.length < maxFaults) this.#faults.push({ line, text: written.trim().slice(0, 100), message })
  }
}

/** A single label covers itself alone: a feed that says `com` does not mean every name below it. */
function flagsOf(bytes: Uint8Array, start: number, end: number): number {
  // most names end in two to four letters
  for (let i = end - 1; i >= start; i--) if (bytes[i] === 0x2e) return coversName | coversBelow
  return coversName
}

function isBlank(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d)
}

/** How many lines there are, by a sample where they are many: a wrong guess costs growing, nothing else. */
function expectedLines(bytes: Uint8Array): number {
  const stride = Math.max(sampleBytes, Math.floor(bytes.length / samples))
  let lines = 0
  let looked = 0
  for (let from = 0; from < bytes.length; from += stride) {
    const to = Math.min(from + sampleBytes, bytes.length)
    looked += to - from
    for (let i = from; i < to; i++) if (bytes[i] === newline) lines++
  }
  return looked === bytes.length ? lines + 1 : Math.ceil((lines / looked) * bytes.length * 1.05) + 1
}
