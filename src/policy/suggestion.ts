// The word that was probably meant, for messages about unknown keys and values.

/** `; did you mean \`x\`?` for the candidate within two edits (one for short words), else nothing. */
export function suggestion(word: string, candidates: Iterable<string>): string {
  const near = nearestWord(word, candidates)
  return near === undefined ? '' : `; did you mean \`${near}\`?`
}

/** The nearest candidate, or undefined when none is near. */
export function nearestWord(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined
  let least = word.length <= 4 ? 2 : 3
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) >= least) continue
    const edits = editDistance(word.toLowerCase(), candidate)
    if (edits < least) {
      best = candidate
      least = edits
    }
  }
  return best
}

function editDistance(from: string, to: string): number {
  let last = Array.from({ length: to.length + 1 }, (_, i) => i)
  for (let i = 1; i <= from.length; i++) {
    const row = [i]
    for (let k = 1; k <= to.length; k++) {
      const same = from[i - 1] === to[k - 1] ? 0 : 1
      row.push(Math.min((last[k] ?? 0) + 1, (row[k - 1] ?? 0) + 1, (last[k - 1] ?? 0) + same))
    }
    last = row
  }
  return last[to.length] ?? 0
}
