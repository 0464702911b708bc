// A set of host names for lists and feeds of any size: names in one blob, an open-addressing table of
// offsets beside it, exact comparison, no string objects. 30 bytes a name at 18 characters each.
// A hash never decides: every hit is compared byte by byte.

/** Plain data; entry layout in `blob`: length, flags, line delta (255: four bytes follow), name. */
export interface NameTable {
  /** offset of an entry, where there is a tag; the length is a power of two */
  readonly slots: Uint32Array<ArrayBuffer>
  /** a byte of the hash, never 0; 0 where the slot is empty: most names are told apart here */
  readonly tags: Uint8Array<ArrayBuffer>
  readonly blob: Uint8Array<ArrayBuffer>
  /** pairs: offset of every 16th entry, and the line before its delta is added */
  readonly checkpoints: Uint32Array<ArrayBuffer>
  readonly count: number
}

/** the entry covers the name itself */
export const coversName = 1
/** the entry covers every name below it */
export const coversBelow = 2

const perCheckpoint = 16
const headerBytes = 3
const maxName = 253
const longestEntry = headerBytes + 4 + maxName
const dot = 0x2e
const newline = 0x0a
const carriageReturn = 0x0d
const hyphen = 0x2d

// The hash of a name is the sum of its bytes, each times a power of this by its place from the left: read
// from right to left, one pass over a host yields the hash of each of its parent names.
const base = 0x9e3779b1
const powers = new Int32Array(maxName)
for (let i = 0, power = 1; i < maxName; i++, power = Math.imul(power, base)) powers[i] = power

function mix(hash: number, code: number): number {
  return (Math.imul(hash, base) + code) | 0
}

function spread(hash: number): number {
  const h = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return (h ^ (h >>> 13)) >>> 0
}

function tagOf(mixed: number): number {
  return mixed >>> 24 || 1
}

/** `odd`: not added, for it needs a closer look than a table takes. */
export type Added = 'added' | 'repeated' | 'odd'

/** Fills a table with names of at most 253 characters. */
export class NameTableBuilder {
  #slots: Uint32Array<ArrayBuffer>
  #tags: Uint8Array<ArrayBuffer>
  #blob: Uint8Array<ArrayBuffer>
  #checkpoints: number[] = []
  #used = 0
  #count = 0
  #added = 0
  #line = 0

  /** `names` and `bytes` are expectations that save growing; more may be added. */
  constructor(names: number, bytes: number) {
    const size = slotCount(names)
    this.#slots = new Uint32Array(size)
    this.#tags = new Uint8Array(size)
    this.#blob = new Uint8Array(bytes + names * headerBytes + longestEntry)
  }

  /** Entries kept: a name that is there already with the same flags is not added again. */
  get count(): number {
    return this.#count
  }

  /** Where the next entry will stand: the start of a segment. */
  get offset(): number {
    return this.#used
  }

  /**
   * Adds the line that starts at `start` if it is one plain name and nothing else: a single label covers
   * itself alone, any other name also what is below it. Yields the end of the line, or -1 where it did not.
   */
  addPlainLine(source: Uint8Array, start: number, line: number): number {
    const at = this.#begin(maxName, line)
    const blob = this.#blob
    const limit = Math.min(source.length, start + maxName)
    // the loop of plainHash over again, fused with the copy: a feed spends its time here
    let hash = 0
    let label = at
    let to = at
    let end = start
    for (; end < limit; end++) {
      const code = source[end] ?? 0
      blob[to] = code
      if (plainBytes[code] === 0) {
        if (code !== dot || !isPlainLabel(blob, label, to)) break
        label = to + 1
      }
      hash = (hash + Math.imul(code, powers[to - at] ?? 0)) | 0
      to++
    }
    const next = source[end]
    const ends = next === undefined || next === newline || (next === carriageReturn && source[end + 1] === newline)
    const plain = ends && isPlainLabel(blob, label, to) && !isDigit(blob[label] ?? 0)
    const flags = label === at ? coversName : coversName | coversBelow
    if (this.#commit(at, to - at, flags, plain ? hash >>> 0 : -1, line) === 'odd') return -1
    return next === carriageReturn ? end + 1 : end
  }

  /** Adds `source[start, end)` if it is a plain name. Lines grow within a segment. */
  addPlainBytes(source: Uint8Array, start: number, end: number, flags: number, line: number): Added {
    if (end - start > maxName) return 'odd'
    const at = this.#begin(end - start, line)
    const blob = this.#blob
    for (let i = start, to = at; i < end; i++) blob[to++] = source[i] ?? 0
    return this.#commit(at, end - start, flags, plainHash(blob, at, end - start), line)
  }

  /** Adds `text` from `start` on if it is a plain name. */
  addPlainText(text: string, start: number, flags: number, line: number): Added {
    if (text.length - start > maxName) return 'odd'
    const at = this.#write(text, start, line)
    return this.#commit(at, text.length - start, flags, plainHash(this.#blob, at, text.length - start), line)
  }

  /** Adds a name as parseHost yields it; false when it was there already. */
  addName(name: string, flags: number, line: number): boolean {
    const at = this.#write(name, 0, line)
    return this.#commit(at, name.length, flags, hashOf(this.#blob, at, name.length), line) === 'added'
  }

  /** The table; the builder is of no use afterwards. */
  finish(): NameTable {
    const blob = new Uint8Array(this.#blob.buffer.transfer(this.#used))
    return { slots: this.#slots, tags: this.#tags, blob, checkpoints: Uint32Array.from(this.#checkpoints), count: this.#count }
  }

  #write(text: string, start: number, line: number): number {
    const at = this.#begin(text.length - start, line)
    const blob = this.#blob
    for (let i = start, to = at; i < text.length; i++) {
      const code = text.charCodeAt(i)
      // nothing beyond ASCII is plain, and nothing else may look as if it were
      blob[to++] = code < 0x80 ? code : 0
    }
    return at
  }

  /** Writes the entry's line past the end and says where its name goes. */
  #begin(length: number, line: number): number {
    const need = this.#used + headerBytes + 4 + length
    if (need > this.#blob.length) this.#blob = new Uint8Array(this.#blob.buffer.transfer(need * 2))
    const at = this.#used
    if (this.#added % perCheckpoint === 0 || line < this.#line) {
      this.#added = 0
      this.#checkpoints.push(at, line)
      this.#line = line
    }
    const delta = line - this.#line
    const blob = this.#blob
    if (delta < 255) {
      blob[at + 2] = delta
      return at + headerBytes
    }
    blob[at + 2] = 255
    for (let i = 0; i < 4; i++) blob[at + headerBytes + i] = delta >>> (8 * i)
    return at + headerBytes + 4
  }

  #commit(nameStart: number, length: number, flags: number, hash: number, line: number): Added {
    const entry = this.#used
    const blob = this.#blob
    blob[entry] = length
    blob[entry + 1] = flags
    if (hash === -1 || !this.#place(nameStart, length, flags, hash)) {
      // a checkpoint set for an entry that was not kept stands for the next one
      if (this.#checkpoints.at(-2) === entry) this.#checkpoints.length -= 2
      return hash === -1 ? 'odd' : 'repeated'
    }
    this.#used = nameStart + length
    this.#line = line
    this.#added++
    this.#count++
    if (this.#count * 4 > this.#slots.length * 3) this.#grow()
    return 'added'
  }

  #place(nameStart: number, length: number, flags: number, hash: number): boolean {
    const blob = this.#blob
    const slots = this.#slots
    const tags = this.#tags
    const mask = slots.length - 1
    const mixed = spread(hash)
    const tag = tagOf(mixed)
    for (let slot = mixed & mask; ; slot = (slot + 1) & mask) {
      const taken = tags[slot]
      if (taken === 0) {
        tags[slot] = tag
        slots[slot] = this.#used
        return true
      }
      if (taken === tag && sameEntry(blob, slots[slot] ?? 0, nameStart, length, flags)) return false
    }
  }

  #grow(): void {
    const blob = this.#blob
    const oldTags = this.#tags
    const oldSlots = this.#slots
    const slots = new Uint32Array(oldSlots.length * 2)
    const tags = new Uint8Array(oldSlots.length * 2)
    const mask = slots.length - 1
    for (let old = 0; old < oldSlots.length; old++) {
      if (oldTags[old] === 0) continue
      const entry = oldSlots[old] ?? 0
      const mixed = spread(hashOf(blob, nameAt(blob, entry), blob[entry] ?? 0))
      let slot = mixed & mask
      while (tags[slot] !== 0) slot = (slot + 1) & mask
      slots[slot] = entry
      tags[slot] = tagOf(mixed)
    }
    this.#slots = slots
    this.#tags = tags
  }
}

/** A table with nothing in it. */
export function emptyTable(): NameTable {
  return new NameTableBuilder(0, 0).finish()
}

/**
 * The most specific entry that covers the name: its offset, or -1. An entry covers the name itself or
 * what is below its own name, as its flags say; one that is `lifted` covers nothing.
 */
export function findName(table: NameTable, name: string, lifted?: (offset: number) => boolean): number {
  if (table.count === 0) return -1
  const { slots, tags, blob } = table
  const mask = slots.length - 1
  let found = -1
  let hash = 0
  for (let i = name.length - 1; i >= 0; i--) {
    hash = mix(hash, name.charCodeAt(i))
    const whole = i === 0
    if (!whole && name.charCodeAt(i - 1) !== dot) continue
    const need = whole ? coversName : coversBelow
    const mixed = spread(hash)
    const tag = tagOf(mixed)
    for (let slot = mixed & mask; ; slot = (slot + 1) & mask) {
      const taken = tags[slot]
      if (taken === 0) break
      if (taken !== tag) continue
      const entry = slots[slot] ?? 0
      if (((blob[entry + 1] ?? 0) & need) === 0 || !sameName(blob, entry, name, i)) continue
      if (lifted === undefined || !lifted(entry)) found = entry
    }
  }
  return found
}

/** Every entry whose name is `name` or a parent of it, whatever it covers; for explanations. */
export function entriesAround(table: NameTable, name: string): readonly number[] {
  const { slots, tags, blob } = table
  const mask = slots.length - 1
  const found: number[] = []
  let hash = 0
  for (let i = name.length - 1; i >= 0; i--) {
    hash = mix(hash, name.charCodeAt(i))
    if (i > 0 && name.charCodeAt(i - 1) !== dot) continue
    for (let slot = spread(hash) & mask; tags[slot] !== 0; slot = (slot + 1) & mask) {
      const entry = slots[slot] ?? 0
      if (sameName(blob, entry, name, i)) found.push(entry)
    }
  }
  return found
}

/** Name, flags and line of the entry at `offset`. */
export function entryAt(table: NameTable, offset: number): { readonly name: string; readonly flags: number; readonly line: number } {
  const { blob } = table
  const start = nameAt(blob, offset)
  let name = ''
  for (let i = start; i < start + (blob[offset] ?? 0); i++) name += String.fromCharCode(blob[i] ?? 0)
  return { name, flags: blob[offset + 1] ?? 0, line: lineAt(table, offset) }
}

/** Calls back for each entry from `start` on, in the order they were added. */
export function* entryOffsets(table: NameTable, start = 0): Generator<number> {
  const { blob } = table
  for (let at = start; at < blob.length; at = nameAt(blob, at) + (blob[at] ?? 0)) yield at
}

function lineAt(table: NameTable, offset: number): number {
  const { blob, checkpoints } = table
  let low = 0
  let high = checkpoints.length / 2 - 1
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if ((checkpoints[middle * 2] ?? 0) <= offset) low = middle
    else high = middle - 1
  }
  let line = checkpoints[low * 2 + 1] ?? 0
  for (let at = checkpoints[low * 2] ?? 0; at <= offset; at = nameAt(blob, at) + (blob[at] ?? 0)) {
    line += deltaAt(blob, at)
  }
  return line
}

function deltaAt(blob: Uint8Array, entry: number): number {
  const delta = blob[entry + 2] ?? 0
  if (delta < 255) return delta
  let value = 0
  for (let i = 3; i >= 0; i--) value = value * 256 + (blob[entry + headerBytes + i] ?? 0)
  return value
}

function nameAt(blob: Uint8Array, entry: number): number {
  return entry + headerBytes + (blob[entry + 2] === 255 ? 4 : 0)
}

/**
 * The hash of a plain name, or -1 for what is not plain. Plain is what parseHost would hand back unchanged:
 * labels of 1 to 63 lower-case letters, digits, underscores and hyphens inside, none that might be `xn--`,
 * a last label that starts with no digit.
 */
function plainHash(blob: Uint8Array, start: number, length: number): number {
  const end = start + length
  let hash = 0
  let label = start
  for (let i = start; i < end; i++) {
    const code = blob[i] ?? 0
    hash = (hash + Math.imul(code, powers[i - start] ?? 0)) | 0
    if (plainBytes[code] === 1) continue
    if (code !== dot || !isPlainLabel(blob, label, i)) return -1
    label = i + 1
  }
  return isPlainLabel(blob, label, end) && !isDigit(blob[label] ?? 0) ? hash >>> 0 : -1
}

const plainCharacters = 'abcdefghijklmnopqrstuvwxyz0123456789-_'
const plainBytes = Uint8Array.from({ length: 256 }, (_, code) => (plainCharacters.includes(String.fromCharCode(code)) ? 1 : 0))

function isPlainLabel(blob: Uint8Array, start: number, end: number): boolean {
  const length = end - start
  if (length < 1 || length > 63 || blob[start] === hyphen || blob[end - 1] === hyphen) return false
  return !(length > 3 && blob[start + 2] === hyphen && blob[start + 3] === hyphen)
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39
}

function hashOf(blob: Uint8Array, start: number, length: number): number {
  let hash = 0
  for (let i = start + length - 1; i >= start; i--) hash = mix(hash, blob[i] ?? 0)
  return hash >>> 0
}

function sameName(blob: Uint8Array, entry: number, name: string, from: number): boolean {
  const length = blob[entry] ?? 0
  if (length !== name.length - from) return false
  const start = nameAt(blob, entry)
  for (let i = 0; i < length; i++) if (blob[start + i] !== name.charCodeAt(from + i)) return false
  return true
}

function sameEntry(blob: Uint8Array, entry: number, nameStart: number, length: number, flags: number): boolean {
  if (blob[entry] !== length || blob[entry + 1] !== flags) return false
  const start = nameAt(blob, entry)
  for (let i = 0; i < length; i++) if (blob[start + i] !== blob[nameStart + i]) return false
  return true
}

function slotCount(names: number): number {
  let size = 16
  while (size * 3 < names * 4) size *= 2
  return size
}
