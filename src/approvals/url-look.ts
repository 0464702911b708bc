// Whether a URL may carry something out: a page is fetched by whoever says yes, and its URL is all that the agent
// wrote of the request. Pure. It raises a second look, it decides nothing.

export interface UrlPart {
  readonly text: string
  /** it looks like data and not like a word */
  readonly isOdd: boolean
}

const maxLength = 200
const minRun = 20
/** no word of a language is as long, digits or not */
const longRun = 32
const minEntropy = 3.6
const maxParts = 24
const maxEncoded = 12
const shownLength = 40

const separators = /([/?&=#.;,:+~|@!*'()-]+)/
// hexadecimal has too few letters for its entropy to tell
const hexadecimal = /^(?=.*\d)(?=.*[a-f])[\da-f]+$/i
const digitsOnly = /^\d+$/

/** The URL in pieces that make it up again, those marked that look like data. */
export function partsOf(url: string): readonly UrlPart[] {
  const start = url.indexOf('://') + 3
  const parts = url.slice(start).split(separators).filter((text) => text !== '').map((text) => ({ text, isOdd: isOdd(text) }))
  return [{ text: url.slice(0, start), isOdd: false }, ...parts]
}

/** Why the URL is to be looked at twice, each as a sentence; empty: nothing stands out. */
export function doubtsAbout(url: string): readonly string[] {
  const doubts: string[] = []
  const [, ...parts] = partsOf(url)
  const rest = parts.map(({ text }) => text).join('')
  if (rest.length > maxLength) doubts.push(`it is ${rest.length} characters long`)
  const words = parts.filter(({ text }) => !separators.test(text))
  if (words.length > maxParts) doubts.push(`it has ${words.length} parts`)
  const odd = words.filter((part) => part.isOdd)
  const [first] = odd
  if (first !== undefined) {
    const more = odd.length > 1 ? `, and ${odd.length - 1} more of its parts,` : ''
    doubts.push(`\`${first.text.slice(0, shownLength)}${first.text.length > shownLength ? '...' : ''}\`${more} looks like data and not like a word`)
  }
  const encoded = rest.match(/%[\dA-Fa-f]{2}/g)?.length ?? 0
  if (encoded > maxEncoded) doubts.push(`${encoded} of its bytes are percent-encoded`)
  return doubts
}

function isOdd(text: string): boolean {
  if (text.length < minRun) return false
  if (hexadecimal.test(text) || digitsOnly.test(text)) return true
  return entropyOf(text) >= minEntropy && (/\d/.test(text) || text.length >= longRun)
}

/** Shannon entropy, bits for each character. */
function entropyOf(text: string): number {
  const counts = new Map<string, number>()
  for (const each of text) counts.set(each, (counts.get(each) ?? 0) + 1)
  let bits = 0
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length)
  return bits
}
