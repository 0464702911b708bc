// Builds HTML out of text that may be hostile. Every value is escaped, and may stand in text or within a
// double-quoted attribute, nowhere else: a template that puts one elsewhere throws. It must never take
// markup that it did not make itself, and never show a control, bidi or invisible character as it is.
import { escapeText } from '../../audit/escape.ts'

export type HtmlValue = string | number | Html | Verbatim | Flag | undefined | readonly HtmlValue[]

/** Markup made by `html`; nothing else can make it. */
export class Html {
  readonly #markup: string

  private constructor(markup: string) {
    this.#markup = markup
  }

  /** The tag of a template. Throws TypeError where a value stands in a place that escaping does not make safe. */
  static tag(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
    const places = placesOf(strings)
    let markup = strings[0] ?? ''
    values.forEach((value, index) => {
      markup += placed(value, places[index] === 'tag') + (strings[index + 1] ?? '')
    })
    return new Html(markup)
  }

  toString(): string {
    return this.#markup
  }
}

/** Markup of a template. Throws TypeError as `Html.tag`. */
export function html(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return Html.tag(strings, ...values)
}

/** Text that its reader typed, given back as it was: its markup is escaped, its line breaks stay. For form fields only. */
export class Verbatim {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** An attribute without a value, there or not; it may stand in a tag. */
export class Flag {
  readonly markup: string

  constructor(name: 'checked' | 'disabled' | 'hidden' | 'open' | 'required' | 'selected', isSet: boolean) {
    this.markup = isSet ? ` ${name}` : ''
  }
}

/** Text of several lines; everything but its line breaks is escaped. */
export function textLines(text: string): Html {
  return html`${text.split('\n').map((line, index) => (index === 0 ? line : html`<br>${line}`))}`
}

function placed(value: HtmlValue, inTag: boolean): string {
  if (value instanceof Flag) {
    if (!inTag) throw new TypeError('a flag stands outside of a tag')
    return value.markup
  }
  if (inTag) throw new TypeError('a value stands in a tag')
  if (value === undefined) return ''
  if (value instanceof Html) return value.toString()
  if (value instanceof Verbatim) return escapeMarkup(value.text)
  if (typeof value === 'object') return value.map((one) => placed(one, false)).join('')
  const text = String(value)
  return escapeMarkup(escapeText(text, text.length))
}

function escapeMarkup(text: string): string {
  return text.replace(/[&<>"'`\0]/g, (character) => entities.get(character) ?? '')
}

const entities: ReadonlyMap<string, string> = new Map([['&', '&amp;'], ['<', '&lt;'], ['>', '&gt;'], ['"', '&quot;'], ["'", '&#39;'], ['`', '&#96;']])

type Place = 'text' | 'name' | 'tag' | 'value'

interface Reading {
  place: Place
  element: string
  attribute: string
  value: string
}

// what a template's own text says never changes; a template is read once
const known = new WeakMap<TemplateStringsArray, readonly Place[]>()

/** Where each value of the template stands. */
function placesOf(strings: TemplateStringsArray): readonly Place[] {
  const found = known.get(strings)
  if (found !== undefined) return found
  const reading: Reading = { place: 'text', element: '', attribute: '', value: '' }
  const places: Place[] = []
  strings.forEach((part, index) => {
    for (const character of part) read(reading, character)
    if (index === strings.length - 1) return
    checkPlace(reading)
    places.push(reading.place)
  })
  known.set(strings, places)
  return places
}

function read(reading: Reading, character: string): void {
  switch (reading.place) {
    case 'text':
      if (character === '<') Object.assign(reading, { place: 'name', element: '' })
      return
    case 'name':
      if (character === '>') reading.place = 'text'
      else if (/\s/.test(character)) Object.assign(reading, { place: 'tag', attribute: '' })
      else reading.element += character
      return
    case 'tag':
      if (character === '>') reading.place = 'text'
      else if (character === '"') Object.assign(reading, { place: 'value', value: '' })
      else if (character === "'") throw new TypeError('attributes are quoted with "')
      else if (/\s/.test(character)) reading.attribute = ''
      else if (character !== '=') reading.attribute += character
      return
    default:
      if (character === '"') Object.assign(reading, { place: 'tag', attribute: '' })
      else reading.value += character
  }
}

/** In these a browser runs what it reads, or follows it. */
const active = /^(?:on.*|style|srcdoc)$/
const links: ReadonlySet<string> = new Set(['href', 'src', 'action', 'formaction'])

function checkPlace({ place, element, attribute, value }: Reading): void {
  if (place === 'name' || element.startsWith('!--')) throw new TypeError('a value stands in a tag name or a comment')
  if (place === 'text' && /^(?:script|style)$/i.test(element)) throw new TypeError(`a value stands in <${element}>`)
  if (place !== 'value') return
  if (active.test(attribute)) throw new TypeError(`a value stands in ${attribute}`)
  // `/` and a letter: a path of our own, never a scheme and never another host
  if (links.has(attribute) && !/^\/[a-z]/.test(value)) throw new TypeError(`a value begins ${attribute}`)
}
