// The whole URL of a page that may be fetched, with what is odd about it marked, and the doubts in words. It is text and
// never a link: whoever reads it must not be sent there.
import type { Approval } from '../../approvals/approval.ts'
import type { Card } from '../../approvals/card.ts'
import { partsOf } from '../../approvals/url-look.ts'
import { html, type Html } from './html.ts'

/** Longer ones are given a height of their own, within which they are whole. */
const longUrl = 600

/** All of it, however long. */
export function wholeUrl({ method, url = '' }: Approval): Html {
  const text = html`<strong>${method}</strong> ${partsOf(url).map(({ text: part, isOdd }) => (isOdd ? html`<mark>${part}</mark>` : html`${part}`))}`
  return url.length > longUrl ? html`<p class="request mono scroll" tabindex="0" aria-label="The whole URL">${text}</p>` : html`<p class="request mono">${text}</p>`
}

/** Why it is to be looked at twice. */
export function doubtsList({ doubts }: Card): Html | undefined {
  if (doubts.length === 0) return undefined
  return html`<ul class="hints" aria-label="About the URL">${doubts.map((doubt) => html`<li data-hint="url_doubt">Of the URL: ${doubt}.</li>`)}</ul>`
}

/** Who reads the page once it is in the cache. */
export function readers({ team }: Approval): string {
  return team === undefined ? 'sessions without a team' : `every session of team ${team}`
}
