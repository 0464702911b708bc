// What the pages gain with script: they follow changes, count time on, and obey the keyboard. It must never
// make markup of text (Trusted Types would refuse it), decide anything, or take away what somebody is typing.
'use strict'

const root = document.documentElement
const main = document.getElementById('main')

// --- times count on ---

const madeAt = Number(root.dataset.now)
const loadedAt = performance.now()
const now = () => madeAt + performance.now() - loadedAt

/** As `spanText` of the server. */
function spanText(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 2 * 86_400) return `${Math.floor(seconds / 3600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}

function countOn() {
  for (const time of document.querySelectorAll('time[data-since]')) {
    const text = spanText(now() - Number(time.dataset.since)) + (time.dataset.suffix ?? '')
    if (time.textContent !== text) time.textContent = text
  }
}
setInterval(countOn, 1000)

// --- signing in by a link's fragment, which no server sees ---

const login = document.getElementById('login')
if (login !== null && location.hash.startsWith('#token=')) {
  const token = decodeURIComponent(location.hash.slice('#token='.length))
  // out of the address bar and the history before anything else
  history.replaceState(null, '', location.pathname + location.search)
  document.getElementById('token').value = token
  login.requestSubmit()
}

// --- following changes ---

const markedKey = 'sallyport-marked'
const changed = document.getElementById('changed')

/** Whether a reload would take something away: focus, a selection, typed or chosen values, an opened part. */
function isBusy() {
  if (isSending) return true
  const focused = document.activeElement
  const isFree = focused === null || focused === document.body || focused === main || focused.hasAttribute('data-row')
  if (!isFree || !(getSelection()?.isCollapsed ?? true)) return true
  if (document.querySelector('dialog[open]') !== null) return true
  for (const field of document.querySelectorAll('input, textarea')) {
    if (field.type === 'radio' || field.type === 'checkbox') {
      if (field.checked !== field.defaultChecked) return true
    } else if (field.type !== 'hidden' && field.value !== field.defaultValue) return true
  }
  return [...document.querySelectorAll('details')].some((details) => details.open)
}

function remember() {
  const row = document.activeElement?.getAttribute('data-row')
  if (row) sessionStorage.setItem(markedKey, row)
  else sessionStorage.removeItem(markedKey)
}

function reload() {
  remember()
  location.reload()
}

// an answer is on its way: a reload would take away what comes of it
let isSending = false
addEventListener('submit', (event) => {
  if (event.target.method !== 'post') return
  isSending = true
  event.submitter?.setAttribute('aria-busy', 'true')
})
// back from where the answer led
addEventListener('pageshow', () => {
  isSending = false
  for (const button of document.querySelectorAll('button[aria-busy]')) button.removeAttribute('aria-busy')
})

let isAsking = false
let askAgain = false

/** Asks whether this page would look different now; the server's stamp leaves out what only ages. */
async function look() {
  if (isAsking) {
    askAgain = true
    return
  }
  isAsking = true
  try {
    const answer = await fetch(location.pathname + location.search, { method: 'HEAD', cache: 'no-store', redirect: 'manual' })
    const differs = answer.type === 'opaqueredirect' || answer.status >= 400 || (answer.headers.get('etag') ?? '""') !== `"${root.dataset.stamp}"`
    if (differs && isBusy()) changed.hidden = false
    else if (differs) reload()
  } catch {
    // the proxy restarts: the stream says when it is back
    scheduleLook(5000)
  } finally {
    isAsking = false
    if (askAgain) {
      askAgain = false
      scheduleLook(200)
    }
  }
}

let pendingLook
function scheduleLook(ms) {
  clearTimeout(pendingLook)
  pendingLook = setTimeout(look, ms)
}

if (root.dataset.stamp && changed !== null) {
  changed.querySelector('a').addEventListener('click', (event) => {
    event.preventDefault()
    reload()
  })
  const stream = new EventSource('/v1/approvals/stream')
  // also after the first opening: something may have come between the page and the stream
  for (const name of ['open', 'message', 'change', 'approval', 'grant', 'proposal']) stream.addEventListener(name, () => scheduleLook(50))
  stream.addEventListener('error', () => {
    // a browser gives up on a stream that is refused; then the page looks by itself
    if (stream.readyState === EventSource.CLOSED) setInterval(look, 10_000)
  })
}

// --- keyboard ---

const rows = () => [...document.querySelectorAll('[data-row]')].filter((row) => row.checkVisibility())
const help = document.getElementById('help')

function move(step) {
  const all = rows()
  if (all.length === 0) return
  const at = all.indexOf(document.activeElement)
  const next = at === -1 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1)
  all[next].focus()
  all[next].scrollIntoView({ block: 'nearest' })
}

const keys = {
  j: () => move(1),
  k: () => move(-1),
  a: () => document.querySelector('#answer input[type=radio]:checked')?.focus(),
  u: () => document.querySelector('[data-up]')?.click(),
  r: reload,
  '?': () => help?.showModal(),
}

document.addEventListener('keydown', (event) => {
  // Enter in a field would send the form without a verdict
  if (event.key === 'Enter' && event.target instanceof Element && event.target.matches('#answer input')) event.preventDefault()
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return
  if (event.target instanceof Element && event.target.closest('textarea, select, input:not([type=radio]):not([type=checkbox]), dialog') !== null) return
  if (!Object.hasOwn(keys, event.key)) return
  event.preventDefault()
  keys[event.key]()
})

const helpButton = document.getElementById('keys')
if (helpButton !== null && help !== null) {
  helpButton.hidden = false
  helpButton.addEventListener('click', () => help.showModal())
  document.getElementById('help-close').addEventListener('click', () => help.close())
}

// --- back where one was ---

const marked = sessionStorage.getItem(markedKey)
if (marked !== null) {
  sessionStorage.removeItem(markedKey)
  rows().find((row) => row.dataset.row === marked)?.focus({ preventScroll: true })
}

// a form is sent once
document.addEventListener('submit', (event) => {
  if (event.target.dataset.sent === 'yes') event.preventDefault()
  event.target.dataset.sent = 'yes'
})
addEventListener('pageshow', (event) => {
  if (event.persisted) for (const form of document.forms) delete form.dataset.sent
})
