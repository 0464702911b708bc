// Makes foreign text safe to show: no control, ANSI, bidi or invisible character reaches a terminal
// or a `body`. Pure. It must never drop a character: what is not shown is written as its code point.

// C0, DEL and C1 controls, every format character (zero-width, bidi, tags: \p{Cf}), what renders as
// nothing (\p{Default_Ignorable_Code_Point}), line and paragraph separators, and unpaired surrogates
// (CVE-2021-42574 and its kin)
const unsafe = /\p{Cc}|\p{Cf}|\p{Default_Ignorable_Code_Point}|\p{Zl}|\p{Zp}|\p{Surrogate}/gu

const notPlain = /[^\x20-\x7e]/

/** Text with every unsafe character as `\xNN` or `\u{NNNN}`; at most `maxLength` UTF-16 units are looked at. */
export function escapeText(text: string, maxLength = 1024): string {
  const cut = text.length > maxLength ? `${text.slice(0, maxLength)}…` : text
  // nearly every text is plain, and the Unicode classes cost ten times this look
  return notPlain.test(cut) ? cut.replace(unsafe, escapeCharacter) : cut
}

function escapeCharacter(character: string): string {
  const codePoint = character.codePointAt(0) ?? 0
  const hex = codePoint.toString(16)
  return codePoint < 0x100 ? `\\x${hex.padStart(2, '0')}` : `\\u{${hex}}`
}
