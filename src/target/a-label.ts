// Internationalised labels: Punycode (RFC 3492) and the check that an `xn--` label is the one spelling of
// what it decodes to. It never maps, folds or repairs: a label that is not canonical is not a label.
import { domainToASCII, domainToUnicode } from 'node:url'

const base = 36
const tMin = 1
const tMax = 26
const skew = 38
const damp = 700
const initialBias = 72
const initialN = 128
const prefix = 'xn--'

/**
 * Whether every `xn--` label of a lower-case name decodes to something beyond ASCII, encodes back to
 * itself, is what UTS 46 makes of its own decoded form, and the whole name survives UTS 46 unchanged.
 */
export function hasCanonicalALabels(name: string): boolean {
  for (const label of name.split('.')) {
    if (label.startsWith(prefix) && decodeALabel(label) === undefined) return false
  }
  return domainToASCII(name) === name && domainToASCII(domainToUnicode(name)) === name
}

/** The name with its `xn--` labels decoded, for people; a label that is not canonical stays as it is. */
export function unicodeHost(name: string): string {
  if (!name.includes(prefix)) return name
  return name
    .split('.')
    .map((label) => (label.startsWith(prefix) ? (decodeALabel(label) ?? label) : label))
    .join('.')
}

function decodeALabel(label: string): string | undefined {
  const points = decodePunycode(label.slice(prefix.length))
  if (points === undefined || points.every((point) => point < initialN)) return undefined
  if (prefix + encodePunycode(points) !== label) return undefined
  const decoded = String.fromCodePoint(...points)
  // the runtime lets some ASCII forms through that it would never produce, such as a control's
  return domainToASCII(decoded) === label ? decoded : undefined
}

function decodePunycode(text: string): readonly number[] | undefined {
  const lastDelimiter = text.lastIndexOf('-')
  const points = Array.from(text.slice(0, Math.max(lastDelimiter, 0)), (c) => c.charCodeAt(0))
  let n = initialN
  let i = 0
  let bias = initialBias
  let at = lastDelimiter > 0 ? lastDelimiter + 1 : 0
  while (at < text.length) {
    const start = i
    let weight = 1
    for (let k = base; ; k += base) {
      const digit = digitOf(text.charCodeAt(at++))
      if (digit === -1) return undefined
      i += digit * weight
      const t = threshold(k, bias)
      if (digit < t) break
      weight *= base - t
      // a label has 59 digits at most; beyond 2^31 no code point can follow
      if (i > 0x7fffffff || weight > 0x7fffffff) return undefined
    }
    const count = points.length + 1
    bias = adapt(i - start, count, start === 0)
    n += Math.floor(i / count)
    i %= count
    if (n > 0x10ffff || (n >= 0xd800 && n <= 0xdfff)) return undefined
    points.splice(i++, 0, n)
  }
  return points
}

function encodePunycode(points: readonly number[]): string {
  const basic = points.filter((point) => point < initialN)
  let out = String.fromCharCode(...basic)
  if (basic.length > 0) out += '-'
  let n = initialN
  let delta = 0
  let bias = initialBias
  let handled = basic.length
  while (handled < points.length) {
    let next = Infinity
    for (const point of points) if (point >= n && point < next) next = point
    delta += (next - n) * (handled + 1)
    n = next
    for (const point of points) {
      if (point < n) delta++
      if (point !== n) continue
      out += variableLength(delta, bias)
      bias = adapt(delta, handled + 1, handled === basic.length)
      delta = 0
      handled++
    }
    delta++
    n++
  }
  return out
}

function variableLength(delta: number, bias: number): string {
  let out = ''
  let q = delta
  for (let k = base; ; k += base) {
    const t = threshold(k, bias)
    if (q < t) return out + characterOf(q)
    out += characterOf(t + ((q - t) % (base - t)))
    q = Math.floor((q - t) / (base - t))
  }
}

function threshold(k: number, bias: number): number {
  return Math.min(Math.max(k - bias, tMin), tMax)
}

/** Bias adaptation, RFC 3492 section 6.1. */
function adapt(delta: number, count: number, first: boolean): number {
  let rest = first ? Math.floor(delta / damp) : Math.floor(delta / 2)
  rest += Math.floor(rest / count)
  let k = 0
  while (rest > ((base - tMin) * tMax) / 2) {
    rest = Math.floor(rest / (base - tMin))
    k += base
  }
  return k + Math.floor(((base - tMin + 1) * rest) / (rest + skew))
}

function digitOf(code: number): number {
  if (code >= 0x61 && code <= 0x7a) return code - 0x61
  if (code >= 0x30 && code <= 0x39) return code - 0x30 + 26
  return -1
}

function characterOf(digit: number): string {
  return String.fromCharCode(digit < 26 ? digit + 0x61 : digit - 26 + 0x30)
}
