// Names that look like other names: which decoded labels are safe to show, and what a name looks like to
// somebody who reads in a hurry. Follows Unicode TS 39, with the letters only that names are forged with. The
// letters are written as escapes: here of all places one has to see what is written. Pure.

/** Letters by the ASCII character they are drawn like: Cyrillic, Greek, Armenian, rarer Latin. */
const drawnLike: Readonly<Record<string, string>> = {
  3: '\u0437\u04e1',
  a: '\u0430\u03b1\u0251',
  b: '\u044c\u0185',
  c: '\u0441\u03f2\u1d04',
  d: '\u0501',
  e: '\u0435\u04bd',
  g: '\u0581\u0261',
  h: '\u04bb\u0570\u029c',
  i: '\u0456\u03b9\u0582\u0131\u0269\u026a',
  j: '\u0458\u03f3\u0575\u0237',
  k: '\u03ba\u1d0b',
  l: '\u04cf\u056c\u01c0',
  m: '\u1d0d',
  n: '\u043f\u03b7\u0578\u057c\u0274',
  o: '\u043e\u03bf\u03c3\u0585\u1d0f',
  p: '\u0440\u0517\u03c1\u03f1',
  q: '\u051b\u0563\u0566',
  r: '\u0433\u027e\u0280',
  s: '\u0455\ua731',
  t: '\u03c4\u1d1b',
  u: '\u03c5\u057d\u1d1c',
  v: '\u0475\u03bd\u028b\u1d20',
  w: '\u051d\u0461\u03c9\u0561\u026f\u1d21',
  x: '\u0445\u03c7',
  y: '\u0443\u04af\u03b3\u028f',
  z: '\u1d22',
}
/** Latin letters with a stroke or hook, which normalisation does not take apart. */
const strokedFrom: Readonly<Record<string, string>> = {
  b: '\u0180\u0253',
  d: '\u0111\u0257\u00f0',
  f: '\u0192',
  g: '\u0260',
  h: '\u0127',
  i: '\u0268',
  k: '\u0199',
  l: '\u0142',
  n: '\u0272\u014b',
  o: '\u00f8',
  p: '\u00fe',
  t: '\u0167',
  u: '\u0289',
  z: '\u01b6',
}
const lookalikes = byLetter(drawnLike)
const stroked = byLetter(strokedFrom)

/** Scripts of UTS 31 table 5 that names are registered in. */
const scripts: readonly (readonly [name: string, letters: RegExp])[] = [
  'Latin', 'Cyrillic', 'Greek', 'Armenian', 'Georgian', 'Hebrew', 'Arabic', 'Thaana', 'Devanagari', 'Bengali', 'Gurmukhi', 'Gujarati', 'Oriya', 'Tamil', 'Telugu',
  'Kannada', 'Malayalam', 'Sinhala', 'Thai', 'Lao', 'Tibetan', 'Myanmar', 'Khmer', 'Ethiopic', 'Hangul', 'Han', 'Hiragana', 'Katakana', 'Bopomofo',
].map((name) => [name, new RegExp(`\\p{Script=${name}}`, 'u')] as const)
/** Scripts that one language writes together. */
const together: readonly (readonly string[])[] = [['Han', 'Hiragana', 'Katakana'], ['Han', 'Bopomofo'], ['Han', 'Hangul']]
const rightToLeft = ['Hebrew', 'Arabic', 'Thaana']
/** prolonged sound mark: written with Hiragana and Katakana, of no script by itself */
const soundMark = '\u30fc'

/** The text with every letter as the ASCII character it is drawn like; marks stay. Two names that look alike share it. */
export function skeleton(text: string): string {
  return isAscii(text) ? text.toLowerCase() : mapped(text.toLowerCase().normalize('NFD'), lookalikes).normalize('NFC')
}

/** As `skeleton`, for a hasty reader: without marks and strokes, `0` as o, `1` as l, `rn` as m, `vv` as w. */
export function looseSkeleton(text: string): string {
  const drawn = skeleton(text)
  const bare = isAscii(drawn) ? drawn : mapped(drawn.normalize('NFD').replaceAll(/\p{M}/gu, ''), stroked)
  return bare.replaceAll('0', 'o').replaceAll('1', 'l').replaceAll('rn', 'm').replaceAll('vv', 'w')
}

/** Whether a decoded label mixes scripts that no language mixes, or is made of letters that look like ASCII ones. */
export function isConfusable(label: string): boolean {
  if (isAscii(label)) return false
  return scriptsOf(label) === undefined || isAscii(skeleton(label))
}

/**
 * Whether a decoded name may be shown to people beside its ASCII form: each label in the letters of one
 * script, none confusable, and not a mixture of writing directions, which is displayed in another order.
 */
export function isSafeToShow(name: string): boolean {
  const labels = name.split('.')
  if (labels.some((label) => !isAscii(label) && isConfusable(label))) return false
  const backwards = labels.filter((label) => scriptsOf(label)?.some((script) => rightToLeft.includes(script)) === true)
  return backwards.length === 0 || backwards.length === labels.length
}

/** The scripts of a label's letters; undefined for a mixture, and for characters that belong to none. */
function scriptsOf(label: string): readonly string[] | undefined {
  const found = new Set<string>()
  let hasSoundMark = false
  for (const character of label) {
    if (/[0-9_-]/.test(character)) continue
    if (character === soundMark) hasSoundMark = true
    else {
      // signs and digits of a script are mistaken, its joiners not seen, combining marks of no script could be stacked
      const script = /[\p{L}\p{M}]/u.test(character) ? scripts.find(([, letters]) => letters.test(character)) : undefined
      if (script === undefined) return undefined
      found.add(script[0])
    }
  }
  if (hasSoundMark && !found.has('Hiragana') && !found.has('Katakana')) return undefined
  const names = [...found]
  return names.length <= 1 || together.some((group) => names.every((name) => group.includes(name))) ? names : undefined
}

function byLetter(table: Readonly<Record<string, string>>): ReadonlyMap<string, string> {
  return new Map(Object.entries(table).flatMap(([ascii, letters]) => Array.from(letters, (letter) => [letter, ascii] as const)))
}

function mapped(text: string, letters: ReadonlyMap<string, string>): string {
  let out = ''
  for (const letter of text) out += letters.get(letter) ?? letter
  return out
}

function isAscii(text: string): boolean {
  return /^\p{ASCII}*$/u.test(text)
}
