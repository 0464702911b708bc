// What every page has around it: head, navigation, who is signed in, the help of the keyboard. The script is
// an addition: whatever it does can be done without it.
import { createHash } from 'node:crypto'
import type { Actor } from '../../approvals/actor.ts'
import type { Assets } from './assets.ts'
import { html, type Html } from './html.ts'
import { mayOpen, type Place } from './permissions.ts'

/** Who looks at a page, and when. */
export interface View {
  readonly actor: Actor
  /** wall clock, `ms` */
  readonly nowMs: number
  /** what a form must send back */
  readonly csrf: string
  readonly assets: Assets
}

export interface Page {
  readonly title: string
  readonly place: Place | undefined
  readonly main: Html
  /** what the page shows, apart from how long ago: when it differs, a live page is made again. Undefined: not live */
  readonly shows?: readonly unknown[]
}

/** Short enough for an ETag; equal for equal content. */
export function stampOf(page: Page): string {
  return page.shows === undefined ? '' : createHash('sha256').update(JSON.stringify(page.shows)).digest('hex').slice(0, 16)
}

const links: readonly { readonly place: Place; readonly link: (isCurrent: boolean) => Html }[] = [
  { place: 'questions', link: (isCurrent) => html`<a href="/" aria-current="${current(isCurrent)}">Questions</a>` },
  { place: 'grants', link: (isCurrent) => html`<a href="/grants" aria-current="${current(isCurrent)}">Grants</a>` },
  { place: 'sessions', link: (isCurrent) => html`<a href="/sessions" aria-current="${current(isCurrent)}">Sessions</a>` },
  { place: 'proposals', link: (isCurrent) => html`<a href="/proposals" aria-current="${current(isCurrent)}">Proposals</a>` },
  { place: 'events', link: (isCurrent) => html`<a href="/events" aria-current="${current(isCurrent)}">Events</a>` },
]

const current = (isCurrent: boolean): string => (isCurrent ? 'page' : 'false')

export function layout(view: View, page: Page): string {
  const { actor, csrf } = view
  const items = links.filter(({ place }) => mayOpen(actor, place)).map(({ place, link }) => html`<li>${link(place === page.place)}</li>`)
  return documentOf(view, page.title, stampOf(page), html`
<header class="bar">
  <a class="mark" href="/">sallyport</a>
  <nav aria-label="Pages"><ul>${items}</ul></nav>
  <form method="post" action="/logout" class="who">
    <input type="hidden" name="csrf" value="${csrf}">
    <span class="name">${actor.name} <span class="quiet">· ${actor.role}</span></span>
    <button type="submit" class="plain">Sign out</button>
  </form>
</header>
<p id="changed" class="changed" role="status" hidden><span>Something changed.</span> <a href="">Reload</a></p>
<main id="main" tabindex="-1">${page.main}</main>
${keyboardHelp}`)
}

/** A page that nobody needs to be signed in for: no navigation. */
export function bareLayout(view: Pick<View, 'assets' | 'nowMs'>, title: string, main: Html): string {
  return documentOf(view, title, '', html`
<header class="bar"><span class="mark">sallyport</span></header>
<main id="main" class="narrow" tabindex="-1">${main}</main>`)
}

const keyboardHelp = html`
<footer class="foot"><button type="button" class="plain" id="keys" hidden>Keyboard <kbd>?</kbd></button></footer>
<dialog id="help" aria-labelledby="help-title">
  <h2 id="help-title">Keyboard</h2>
  <dl class="keys">
    <div><dt><kbd>j</kbd> <kbd>k</kbd></dt><dd>next, previous</dd></div>
    <div><dt><kbd>Enter</kbd></dt><dd>open what is marked</dd></div>
    <div><dt><kbd>a</kbd></dt><dd>go to the answer; it answers nothing</dd></div>
    <div><dt><kbd>u</kbd></dt><dd>back to the questions</dd></div>
    <div><dt><kbd>r</kbd></dt><dd>reload</dd></div>
    <div><dt><kbd>?</kbd></dt><dd>this list</dd></div>
  </dl>
  <button type="button" id="help-close">Close</button>
</dialog>`

function documentOf({ assets, nowMs }: Pick<View, 'assets' | 'nowMs'>, title: string, stamp: string, body: Html): string {
  return html`<!doctype html>
<html lang="en" data-stamp="${stamp}" data-now="${nowMs}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} · sallyport</title>
<link rel="stylesheet" href="/assets/${assets.style}">
<script src="/assets/${assets.script}" defer></script>
</head>
<body>
<a class="skip" href="#main">Skip to content</a>${body}
</body>
</html>
`.toString()
}
