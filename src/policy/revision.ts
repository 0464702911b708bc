// A fingerprint of everything that was compiled: it tells one policy from another in events. It is no proof
// against somebody who writes policies, and is not meant to be.

const pieceLength = 1 << 16

/** Two 32-bit lanes of multiply and shift, 48 bits of which are shown. */
export class Fingerprint {
  #a = 0x9e3779b9
  #b = 0x85ebca6b

  addText(text: string): void {
    // in pieces, through one buffer: a text of many megabytes is not held twice
    const encoder = new TextEncoder()
    const buffer = new Uint8Array(Math.min(text.length, pieceLength) * 3)
    for (let at = 0; at <= text.length; at += pieceLength) {
      const { written } = encoder.encodeInto(text.slice(at, at + pieceLength), buffer)
      this.addBytes(buffer.subarray(0, written))
    }
  }

  addBytes(bytes: Uint8Array<ArrayBuffer>): void {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2)
    // four lanes, so that no word waits for the one before it
    let a = this.#a ^ bytes.length
    let b = this.#b
    let c = a ^ 0xc2b2ae35
    let d = b ^ 0x27d4eb2f
    let i = 0
    for (const end = words.length - 3; i < end; i += 4) {
      a = step(a, words[i] ?? 0)
      b = step(b, words[i + 1] ?? 0)
      c = step(c, words[i + 2] ?? 0)
      d = step(d, words[i + 3] ?? 0)
    }
    for (i *= 4; i < bytes.length; i++) a = step(a, bytes[i] ?? 0)
    this.#a = step(mixed(a), c)
    this.#b = step(mixed(b), d)
  }

  /** 12 hexadecimal digits. */
  digest(): string {
    const a = mixed(this.#a ^ (this.#b >>> 7))
    const b = mixed(this.#b ^ a)
    return a.toString(16).padStart(8, '0') + (b & 0xffff).toString(16).padStart(4, '0')
  }
}

function step(lane: number, word: number): number {
  const h = Math.imul(lane ^ word, 0x01000193)
  return h ^ (h >>> 15)
}

function mixed(value: number): number {
  let h = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
