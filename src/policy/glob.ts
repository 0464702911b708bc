// `*` and `?` in a line of text, by a scan that only ever goes back to the last star: at most
// text length x pattern length steps, whatever the pattern. No regular expression is ever built.

const star = 0x2a
const anyOne = 0x3f

/** Whether `glob` covers the whole of `text`: `*` is any run of characters, `?` is exactly one. */
export function matchGlob(glob: string, text: string): boolean {
  let at = 0
  let within = 0
  let starAt = -1
  let resume = 0
  while (at < text.length) {
    const code = within < glob.length ? glob.charCodeAt(within) : -1
    if (code === star) {
      starAt = within++
      resume = at
    } else if (code === anyOne || code === text.charCodeAt(at)) {
      within++
      at++
    } else if (starAt === -1) return false
    else {
      within = starAt + 1
      at = ++resume
    }
  }
  while (glob.charCodeAt(within) === star) within++
  return within === glob.length
}

/** The whole labels after the last wildcard: `v2.x` of `region*.v2.x`, `` of `example.*`. */
export function literalTail(glob: string): string {
  const last = Math.max(glob.lastIndexOf('*'), glob.lastIndexOf('?'))
  const end = glob.indexOf('.', last)
  return end === -1 ? '' : glob.slice(end + 1)
}
