// The latest records of the journal, newest first, for auditors. Their bodies name hosts and agents, so
// nobody else may open this page.
import { emptyState } from './facts-list.ts'
import { html } from './html.ts'
import type { Page } from './layout.ts'

export interface RecentEvent {
  readonly seq: number
  /** RFC 3339 */
  readonly time: string
  readonly name: string
  readonly severity: string
  readonly body: string
}

export function eventsPage(events: readonly RecentEvent[]): Page {
  const newestFirst = events.toSorted((a, b) => b.seq - a.seq)
  return {
    title: 'Events',
    place: 'events',
    main: html`
<div class="head"><h1>Events</h1><p class="quiet">the latest ${events.length}, newest first</p><a class="reload" href="/events">Reload</a></div>
${events.length === 0
  ? emptyState('No events', 'Every decision of the proxy and everything that happens to it is recorded, and appears here.')
  : html`<ol class="events">${newestFirst.map(({ seq, time, name, severity, body }) => html`
    <li class="${severity === 'ERROR' || severity === 'WARN' ? 'event is-warning' : 'event'}"><span class="mono quiet">${seq}</span> <time class="mono quiet" datetime="${time}">${time.slice(0, 19).replace('T', ' ')} UTC</time> <span class="severity">${severity}</span> <span class="mono quiet">${name.replace(/^sallyport\./, '')}</span> <span class="body wrap">${body}</span></li>`)}
</ol>`}`,
  }
}
