// Parts that several pages share: a list of labelled facts, an empty state, a table's frame.
import { html, type Html, type HtmlValue } from './html.ts'

/** Labels with what is known; what is unknown is left out. */
export function factsList(rows: readonly (readonly [label: string, value: HtmlValue])[]): Html {
  const shown = rows.filter(([, value]) => value !== undefined && value !== '')
  return html`<dl class="facts">${shown.map(([label, value]) => html`<div><dt>${label}</dt><dd>${value}</dd></div>`)}</dl>`
}

export function emptyState(title: string, text: string): Html {
  return html`<div class="empty"><p class="empty-title">${title}</p><p>${text}</p></div>`
}

/** Long text cut at its end, with its length said; for what is no host. */
export function shortened(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}… (${text.length} characters)`
}

/** `1 question`, `2 questions` */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
