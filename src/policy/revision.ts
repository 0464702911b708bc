// A fingerprint of everything that was compiled: it tells one policy from another in events. It is no proof
// against somebody who writes policies, and is not meant to be.

const pieceLength = 1 << 16

/** Two 32-bit lanes of multiply and rotate, 48 bits of which are shown. */
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
    const whole = bytes.length >>> 2
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, whole)
    let a = this.#a ^ bytes.length
    let b = this.#b
    for (let i = 0; i < whole; i++) {
      const word = words[i] ?? 0
      a = Math.imul(a ^ word, 0x01000193)
      a ^= a >>> 15
      b = Math.imul((b << 5) | (b >>> 27), 0x27d4eb2d) ^ word
    }
    for (let i = whole * 4; i < bytes.length; i++) {
      a = Math.imul(a ^ (bytes[i] ?? 0), 0x01000193)
      b = Math.imul((b << 5) | (b >>> 27), 0x27d4eb2d) ^ (bytes[i] ?? 0)
    }
    this.#a = a
    this.#b = b
  }

  /** 12 hexadecimal digits. */
  digest(): string {
    const a = mixed(this.#a ^ (this.#b >>> 7))
    const b = mixed(this.#b ^ a)
    return a.toString(16).padStart(8, '0') + (b & 0xffff).toString(16).padStart(4, '0')
  }
}

function mixed(value: number): number {
  let h = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
