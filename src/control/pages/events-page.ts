// The journal for auditors: a form that filters, the records that fit, newest first, and the whole of one exchange or one
// question in order. Their bodies name hosts and agents, so nobody else may open this page. It works without script.
import type { JournalRecord } from '../../audit/record.ts'
import { verdicts } from '../../policy/decision.ts'
import type { EventWords } from '../event-query.ts'
import { emptyState } from './facts-list.ts'
import { Flag, html, Verbatim, type Html } from './html.ts'
import type { Page } from './layout.ts'

export type ShownEvent = Pick<JournalRecord, 'seq' | 'time' | 'name' | 'severity' | 'body' | 'attributes'>

export interface EventsFound {
  /** as they were typed */
  readonly words: EventWords
  /** in the order in which they are shown */
  readonly events: readonly ShownEvent[]
  /** number that the next page goes on before; undefined: there is no more */
  readonly olderThan: number | undefined
  /** why nothing was looked for */
  readonly fault?: string | undefined
}

const fields: readonly { readonly name: keyof EventWords; readonly label: string; readonly hint: string }[] = [
  { name: 'host', label: 'Host', hint: '*.example.com' },
  { name: 'agent', label: 'Agent', hint: 'codex' },
  { name: 'team', label: 'Team', hint: 'web' },
  { name: 'owner', label: 'Owner', hint: 'mara' },
  { name: 'session', label: 'Session', hint: 's3kq…' },
  { name: 'rule', label: 'Rule', hint: 'denied_*' },
  { name: 'code', label: 'Code', hint: 'dns_*' },
  { name: 'event', label: 'Event', hint: 'approval.*' },
  { name: 'since', label: 'Since', hint: '8h, or 2027-01-31T18:00Z' },
  { name: 'until', label: 'Until', hint: '1h' },
]

/** Whether all of one exchange or one question is asked for: that is told from its beginning. */
export function isStory({ request, approval }: EventWords): boolean {
  return (request ?? '') !== '' || (approval ?? '') !== ''
}

export function eventsPage({ words, events, olderThan, fault }: EventsFound): Page {
  const isFiltered = Object.values(words).some((word) => word !== undefined && word !== '')
  return {
    title: 'Events',
    place: 'events',
    main: html`
<div class="head"><h1>${titleOf(words)}</h1><p class="quiet">${isStory(words) ? 'from its beginning' : 'newest first'}</p><a class="reload" href="/events${queryOf(words)}">Reload</a></div>
${fault === undefined ? undefined : html`<p class="fault" role="alert">${fault}</p>`}
${isStory(words) ? html`<p class="crumbs"><a href="/events">All events</a></p>` : filterForm(words, isFiltered)}
${list(events, isFiltered, fault)}
${olderThan === undefined ? undefined : html`<p class="older"><a class="button" href="/events${queryOf({ ...words, before: String(olderThan) })}">Older</a></p>`}`,
  }
}

function titleOf({ request, approval }: EventWords): Html {
  if (request !== undefined && request !== '') return html`Exchange <span class="mono wrap">${request}</span>`
  return approval === undefined || approval === '' ? html`Events` : html`Question <span class="mono wrap">${approval}</span>`
}

function filterForm(words: EventWords, isFiltered: boolean): Html {
  return html`
<details class="filter"${new Flag('open', isFiltered)}><summary>Filter</summary>
  <form method="get" action="/events">
    <div class="filters">
      <label class="field"><span>Verdict</span><select name="verdict">${['', ...verdicts].map((verdict) => html`<option value="${verdict}"${new Flag('selected', (words.verdict ?? '') === verdict)}>${verdict === '' ? 'any' : verdict}</option>`)}</select></label>
      ${fields.map(({ name, label, hint }) => html`<label class="field"><span>${label}</span><input type="text" name="${name}" value="${new Verbatim(words[name] ?? '')}" placeholder="${hint}" maxlength="256" autocomplete="off" spellcheck="false"></label>`)}
    </div>
    <p class="quiet">* stands for anything, ? for one character, {a,b} for either; a ! in front for all others.</p>
    <div class="buttons"><button type="submit" class="primary">Show</button>${isFiltered ? html` <a href="/events">All events</a>` : undefined}</div>
  </form>
</details>`
}

function list(events: readonly ShownEvent[], isFiltered: boolean, fault: string | undefined): Html | undefined {
  if (events.length > 0) return html`<ol class="events">${events.map(row)}</ol>`
  if (fault !== undefined) return undefined
  return isFiltered
    ? emptyState('Nothing fits', 'No record that is kept fits all of this. What retention removed is with the collector alone.')
    : emptyState('No events', 'Every decision of the proxy and everything that happens to it is recorded, and appears here.')
}

function row(event: ShownEvent): Html {
  const { seq, time, name, severity, body } = event
  return html`
    <li class="${severity === 'ERROR' || severity === 'WARN' ? 'event is-warning' : 'event'}"><span class="mono quiet">${seq}</span> <time class="mono quiet" datetime="${time}">${time.slice(0, 19).replace('T', ' ')} UTC</time> <span class="severity">${severity}</span> <span class="mono quiet">${name.replace(/^sallyport\./, '')}</span>${links(event)} <span class="body wrap">${pageOf(event)}${body}</span></li>`
}

/** The page that was asked for, where the event says so. */
function pageOf({ name, attributes }: ShownEvent): Html | undefined {
  const { 'http.request.method': method, 'url.path': path } = attributes
  const words = [name === 'sallyport.control.called' || method === 'none' ? undefined : method, path].filter((word) => typeof word === 'string' && word !== '')
  return words.length === 0 ? undefined : html`<span class="mono">${words.join(' ')}</span> `
}

/** To all of the exchange and to all of the question. */
function links({ name, attributes }: ShownEvent): Html {
  const { 'sallyport.request.id': request, 'sallyport.approval.id': approval } = attributes
  return html`${typeof request === 'string' && name !== 'sallyport.control.called' ? html` <a href="/events${queryOf({ request })}">exchange</a>` : undefined}${typeof approval === 'string' ? html` <a href="/events${queryOf({ approval })}">question</a>` : undefined}`
}

function queryOf(words: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams()
  for (const [name, word] of Object.entries(words)) if (word !== undefined && word !== '') query.append(name, word)
  return query.size === 0 ? '' : `?${query.toString()}`
}
