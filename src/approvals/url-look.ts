// Whether a URL may carry something out: a page is fetched by whoever says yes, and its URL is all that the agent
// wrote of the request. Pure. It raises a second look, it decides nothing.

const maxLength = 200
const minRun = 20
const minEntropy = 3.6
const maxParts = 12

/** Why the URL is to be looked at twice, each as a sentence; empty: nothing stands out. */
export function doubtsAbout(url: string): readonly string[] {
  const doubts: string[] = []
  const rest = url.slice(url.indexOf('://') + 3)
  if (rest.length > maxLength) doubts.push(`it is ${rest.length} characters long`)
  const parts = rest.split(/[/?&=#.;,:+-]+/).filter((part) => part !== '')
  if (parts.length > maxParts * 2) doubts.push(`it has ${parts.length} parts`)
  const odd = parts.find((part) => part.length >= minRun && entropyOf(part) >= minEntropy && /\d/.test(part))
  if (odd !== undefined) doubts.push(`\`${odd.slice(0, 40)}${odd.length > 40 ? '...' : ''}\` looks like data and not like a word`)
  const encoded = rest.match(/%[\dA-Fa-f]{2}/g)?.length ?? 0
  if (encoded > maxParts) doubts.push(`${encoded} of its bytes are percent-encoded`)
  return doubts
}

/** Shannon entropy, bits for each character. */
function entropyOf(text: string): number {
  const counts = new Map<string, number>()
  for (const each of text) counts.set(each, (counts.get(each) ?? 0) + 1)
  let bits = 0
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length)
  return bits
}
