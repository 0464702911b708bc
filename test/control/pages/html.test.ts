// The template that escapes: no value becomes markup, and none stands where escaping does not help.
import t from 'tap'
import { escapeText } from '../../../src/audit/escape.ts'
import { Flag, html, Html, textLines, Verbatim } from '../../../src/control/pages/html.ts'
import * as fc from '../../support/property.ts'

const anyText = fc.string({ unit: 'binary', maxLength: 200 })
const entities: Readonly<Record<string, string>> = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'", '&#96;': '`' }
const decoded = (markup: string): string => markup.replaceAll(/&[#\w]+;/g, (entity) => entities[entity] ?? entity)

t.test('a value in text or in an attribute is its escaped text and nothing else', async () => {
  fc.assert(fc.property(anyText, (text) => {
    const inText = html`<p>${text}</p>`.toString().slice(3, -4)
    const inValue = html`<p title="${text}">`.toString().slice(10, -2)
    return !/[<>"'`]/.test(inText) && inText === inValue && decoded(inText) === escapeText(text, text.length)
  }))
})

t.test('control, bidi and invisible characters are shown as their code points', async (t) => {
  t.equal(html`<b>${'a\u202e\u200b\u001b[31m\0'}</b>`.toString(), '<b>a\\u{202e}\\u{200b}\\x1b[31m\\x00</b>')
})

t.test('long text is not cut', async (t) => {
  t.equal(html`${'x'.repeat(65_536)}`.toString().length, 65_536)
})

t.test('markup of its own, lists, numbers and what is not there may be values', async (t) => {
  t.equal(html`<ul>${[1, 2].map((n) => html`<li>${n}</li>`)}${undefined}</ul>`.toString(), '<ul><li>1</li><li>2</li></ul>')
})

t.test('text that only looks like markup of its own is text', async (t) => {
  const forged: unknown = { toString: () => '<b>', markup: '<b>', text: '<b>' }
  t.throws(() => html`${forged as Html}`)
  t.equal(html`${'<b>'}`.toString(), '&lt;b&gt;')
})

t.test('what a reader typed keeps its line breaks and no markup', async (t) => {
  t.equal(html`<textarea>${new Verbatim('a\n</textarea><b>\0')}</textarea>`.toString(), '<textarea>a\n&lt;/textarea&gt;&lt;b&gt;</textarea>')
  t.equal(textLines('a\n<b>\u202e').toString(), 'a<br>&lt;b&gt;\\u{202e}')
})

t.test('an attribute without a value is there or not', async (t) => {
  t.equal(html`<input name="x"${new Flag('checked', true)}>`.toString(), '<input name="x" checked>')
  t.equal(html`<input name="x"${new Flag('checked', false)}>`.toString(), '<input name="x">')
})

t.test('a value in any other place throws, whatever the value is', async (t) => {
  for (const wrong of [
    () => html`<${'b'}>`,
    () => html`<b ${'x'}>`,
    () => html`<b class=${'x'}>`,
    () => html`<b class='${'x'}'>`,
    () => html`<b onclick="${'x'}">`,
    () => html`<b style="${'x'}">`,
    () => html`<iframe srcdoc="${'x'}">`,
    () => html`<script>${'x'}</script>`,
    () => html`<style>${'x'}</style>`,
    () => html`<!-- ${'x'} -->`,
    () => html`<a href="${'javascript:x'}">`,
    () => html`<a href="/${'/evil.example'}">`,
    () => html`<form action="${'x'}">`,
    () => html`<p>${new Flag('open', true)}</p>`,
  ]) t.throws(wrong, TypeError, wrong.toString())
})

t.test('a link that begins with a path of its own may go on with a value', async (t) => {
  t.equal(html`<a href="/approvals/${'"><b>'}">x</a>`.toString(), '<a href="/approvals/&quot;&gt;&lt;b&gt;">x</a>')
})
