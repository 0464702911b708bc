// How the screen of `approvals watch` changes: state and event in, state and effects out. Pure. No single key
// decides anything, an answer is about the version that was looked at, and what is wide is typed out.
import { type AnswerDraft, answerText, isDoubtful, isWide, type Term, type Verdict } from './answer.ts'
import { misfit } from './approvals-answer.ts'
import type { Question, QuestionCard } from './control-wire.ts'
import { parseIp } from '../target/address.ts'
import { isDuration } from './time-words.ts'
import type { Key } from './watch-keys.ts'
import { cardOf, draftOf, type Menu, isTooSmall, selectedQuestion, snoozeLines, termLinesOf, type View, type WatchEvent, type WatchState, type WatchStep } from './watch-state.ts'

const longestInput = 500
const pageLines = 10
/** lines that a confirmation has room for at least */
const leastConfirmLines = 8

export function step(state: WatchState, event: WatchEvent): WatchStep {
  switch (event.kind) {
    case 'key':
      return pressed(state, event.key)
    case 'questions':
      return refreshed(state, event.questions)
    case 'card':
      return still({ ...state, cards: new Map(state.cards).set(event.card.question.id, event.card) })
    case 'trouble':
      // what was said before is no news any more
      return still({ ...state, trouble: event.message, notice: event.message === undefined || event.message === state.trouble ? state.notice : undefined })
    case 'notice':
      return still({ ...state, notice: { text: event.text, isBad: true } })
    case 'done':
      return still({ ...state, view: state.view.kind === 'sending' ? { kind: 'list' } : state.view, notice: { text: event.text, isBad: event.isBad } })
    case 'size':
      return { state: { ...state, size: event.size }, effects: [{ kind: 'redraw' }] }
    default:
      return still({ ...state, nowMs: event.nowMs, questions: inOrder(state.questions, event.nowMs) })
  }
}

function still(state: WatchState): WatchStep {
  return { state, effects: [] }
}

/** Snoozed ones last, each part oldest first. */
function inOrder(questions: readonly Question[], nowMs: number): readonly Question[] {
  const isSnoozed = ({ snoozedUntilMs }: Question): number => (snoozedUntilMs !== undefined && snoozedUntilMs > nowMs ? 1 : 0)
  return questions.toSorted((one, other) => isSnoozed(one) - isSnoozed(other) || one.firstSeenMs - other.firstSeenMs)
}

function refreshed(before: WatchState, questions: readonly Question[]): WatchStep {
  const ordered = inOrder(questions, before.nowMs)
  const ids = new Set(ordered.map(({ id }) => id))
  const cards = new Map([...before.cards].filter(([id]) => ids.has(id)))
  const selected = before.selected !== undefined && ids.has(before.selected) ? before.selected : neighbour(before, ordered)
  const state = { ...before, questions: ordered, cards, selected, scroll: selected === before.selected ? before.scroll : 0 }
  return withCard(closedIfChanged(state))
}

/** What stands where the selected one stood. */
function neighbour({ questions, selected }: WatchState, now: readonly Question[]): string | undefined {
  const at = Math.max(0, questions.findIndex(({ id }) => id === selected))
  return now[Math.min(at, now.length - 1)]?.id
}

/** A menu is about one version of one question: when that is gone, so is the menu. */
function closedIfChanged(state: WatchState): WatchState {
  const open = questionOf(state.view)
  if (open === undefined || state.view.kind === 'sending') return state
  const now = state.questions.find(({ id }) => id === open.id)
  if (now?.version === open.version) return state
  const text = now === undefined ? `${open.host} is no longer open: it was answered elsewhere, or expired` : `${open.host} changed while you looked: look again`
  return { ...state, view: { kind: 'list' }, notice: { text, isBad: true } }
}

function questionOf(view: View): Question | undefined {
  switch (view.kind) {
    case 'list':
    case 'help':
      return undefined
    case 'snooze':
    case 'sending':
      return view.question
    default:
      return view.menu.question
  }
}

/** Asks for the card of what is selected, unless it is there. */
function withCard(state: WatchState): WatchStep {
  const question = selectedQuestion(state)
  if (question === undefined || cardOf(state, question) !== undefined) return still(state)
  return { state, effects: [{ kind: 'load', id: question.id }] }
}

function pressed(before: WatchState, key: Key): WatchStep {
  if (key.kind === 'interrupt') return { state: before, effects: [{ kind: 'quit' }] }
  if (key.kind === 'redraw') return { state: before, effects: [{ kind: 'redraw' }] }
  const { view } = before
  if (isTooSmall(before.size)) return letterOf(key) === 'q' ? { state: before, effects: [{ kind: 'quit' }] } : still(before)
  const state = { ...before, notice: undefined }
  switch (view.kind) {
    case 'list':
      return inList(state, key)
    case 'help':
      return still({ ...state, view: { kind: 'list' } })
    case 'menu':
      return inMenu(state, view.menu, key)
    case 'snooze':
      return inSnooze(state, view.question, view.line, key)
    case 'input':
      return inInput(state, view, key)
    case 'confirm':
      return inConfirm(state, view, key)
    default:
      return still(before)
  }
}

function letterOf(key: Key): string {
  return key.kind === 'letter' ? key.letter : ''
}

/** How far a key moves in a list. */
function moveOf(key: Key): number {
  const letter = letterOf(key)
  if (key.kind === 'down' || letter === 'j') return 1
  return key.kind === 'up' || letter === 'k' ? -1 : 0
}

function inList(state: WatchState, key: Key): WatchStep {
  const move = moveOf(key)
  if (move !== 0) return moved(state, move)
  if (key.kind === 'home') return moved(state, -state.questions.length)
  if (key.kind === 'end') return moved(state, state.questions.length)
  if (key.kind === 'page-down') return still({ ...state, scroll: state.scroll + pageLines })
  if (key.kind === 'page-up') return still({ ...state, scroll: Math.max(0, state.scroll - pageLines) })
  const question = selectedQuestion(state)
  switch (letterOf(key)) {
    case 'q':
      return { state, effects: [{ kind: 'quit' }] }
    case '?':
    case 'h':
      return still({ ...state, view: { kind: 'help' } })
    case 'a':
      return opened(state, question, 'allow')
    case 'd':
      return opened(state, question, 'deny')
    case 'f':
      // on the line that fetches: Enter does it
      return question?.kind === 'fetch' ? opened(state, question, 'allow', 0) : still(state)
    case 's':
      return question === undefined ? still(state) : still({ ...state, view: { kind: 'snooze', question, line: undefined } })
    default:
      return still(state)
  }
}

function moved(state: WatchState, by: number): WatchStep {
  const at = state.questions.findIndex(({ id }) => id === state.selected)
  const next = state.questions[Math.min(Math.max(0, at + by), state.questions.length - 1)]
  return next === undefined ? still(state) : withCard({ ...state, selected: next.id, scroll: 0 })
}

function opened(state: WatchState, question: Question | undefined, verdict: Verdict, line?: number): WatchStep {
  if (question === undefined) return still(state)
  // what decides has to have been on the screen
  if (cardOf(state, question) === undefined) return { state: { ...state, notice: { text: 'the context of this question is still being read', isBad: true } }, effects: [{ kind: 'load', id: question.id }] }
  return still({ ...state, view: { kind: 'menu', menu: { question, verdict, line, subdomains: false, allPorts: false, who: 'session', comment: undefined } } })
}

function inMenu(state: WatchState, menu: Menu, key: Key): WatchStep {
  const show = (changed: Partial<Menu>): WatchStep => still({ ...state, view: { kind: 'menu', menu: { ...menu, ...changed } } })
  if (key.kind === 'escape') return still({ ...state, view: { kind: 'list' } })
  const lines = termLinesOf(menu)
  const move = moveOf(key)
  if (move !== 0) return show({ line: nextLine(menu.line, move, lines.length) })
  if (key.kind === 'enter') {
    if (menu.line === undefined) return still({ ...state, notice: { text: 'choose how long first: a letter, or the arrow keys and Enter', isBad: true } })
    return chosen(state, menu, lines[menu.line]?.term)
  }
  const letter = letterOf(key)
  const line = lines.find((each) => each.letter === letter)
  if (line !== undefined) return chosen(state, menu, line.term)
  const wider = widerChoices(menu)
  if (letter === 'b' && wider.subdomains) return show({ subdomains: !menu.subdomains })
  if (letter === 'p' && wider.ports) return show({ allPorts: !menu.allPorts })
  if (letter === 'w') return show({ who: nextWho(menu) })
  if (letter === 'c') return still({ ...state, view: { kind: 'input', menu, what: 'comment', text: menu.comment ?? '' } })
  return letter === 'q' ? still({ ...state, view: { kind: 'list' } }) : still(state)
}

/** Which ways there are to go beyond what was asked. */
export function widerChoices({ question: { kind, host }, verdict }: Pick<Menu, 'question' | 'verdict'>): { readonly subdomains: boolean; readonly ports: boolean } {
  const isWhole = kind === 'host' || (kind === 'fetch' && verdict === 'allow')
  return { subdomains: isWhole && parseIp(host) === undefined, ports: isWhole }
}

function nextWho({ who, question }: Menu): Menu['who'] {
  if (who === 'session') return 'agent'
  return who === 'agent' && question.team !== undefined ? 'team' : 'session'
}

function nextLine(line: number | undefined, move: number, count: number): number {
  if (line === undefined) return move > 0 ? 0 : count - 1
  return Math.min(Math.max(0, line + move), count - 1)
}

/** A term was chosen: on to what is still missing, or out it goes. */
function chosen(state: WatchState, menu: Menu, term: Term | undefined): WatchStep {
  if (term === undefined) return still({ ...state, view: { kind: 'input', menu, what: 'time', text: '' } })
  const draft = draftOf(menu, term)
  const card = cardOf(state, menu.question)
  const missing = missingOf(draft, card)
  if (missing !== undefined) return still({ ...state, view: { kind: 'menu', menu }, notice: { text: missing, isBad: true } })
  if (card !== undefined && isDoubtful(draft, card)) return lookedAtTwice(state, menu)
  if (isWide(draft)) return still({ ...state, view: { kind: 'confirm', menu, term, text: '' } })
  return sent(state, menu.question, draft)
}

/** The whole URL has to be on the screen when `yes` is typed. */
function lookedAtTwice(state: WatchState, menu: Menu): WatchStep {
  const term = { kind: 'fetch', isConfirmed: true } as const
  if (confirmText({ menu, term }).length <= leastConfirmLines * (state.size.columns - 4)) return still({ ...state, view: { kind: 'confirm', menu, term, text: '' } })
  const text = `the URL is longer than this screen shows at once: sallyport approvals allow ${menu.question.id} --fetch`
  // no letter of a `yes` that somebody types by now may answer
  return still({ ...state, view: { kind: 'list' }, notice: { text, isBad: true } })
}

function missingOf(draft: AnswerDraft, card: QuestionCard | undefined): string | undefined {
  const wrong = card === undefined ? 'the context of this question is gone: look again' : misfit(draft, card)
  return wrong?.replace('say why with --comment TEXT', 'c writes one').replace(': --fetch', '')
}

function sent(state: WatchState, question: Question, draft: AnswerDraft): WatchStep {
  return { state: { ...state, view: { kind: 'sending', question } }, effects: [{ kind: 'answer', question, draft }] }
}

function inSnooze(state: WatchState, question: Question, line: number | undefined, key: Key): WatchStep {
  if (key.kind === 'escape' || letterOf(key) === 'q') return still({ ...state, view: { kind: 'list' } })
  const move = moveOf(key)
  if (move !== 0) return still({ ...state, view: { kind: 'snooze', question, line: nextLine(line, move, snoozeLines.length) } })
  const choice = key.kind === 'enter' ? snoozeLines[line ?? -1] : snoozeLines.find(({ letter }) => letter === letterOf(key))
  if (choice === undefined) return still(state)
  return { state: { ...state, view: { kind: 'sending', question } }, effects: [{ kind: 'snooze', question, duration: choice.duration }] }
}

function typed(text: string, key: Key): string {
  if (key.kind === 'backspace') return Array.from(text).slice(0, -1).join('')
  const more = key.kind === 'paste' ? key.text.replaceAll(/[\r\n\t]+/g, ' ') : letterOf(key)
  return (text + more).slice(0, longestInput)
}

function inInput(state: WatchState, view: View & { kind: 'input' }, key: Key): WatchStep {
  const { menu, what, text } = view
  if (key.kind === 'escape') return still({ ...state, view: { kind: 'menu', menu } })
  if (key.kind !== 'enter') return still({ ...state, view: { ...view, text: typed(text, key) } })
  const entered = text.trim()
  if (what === 'comment') return still({ ...state, view: { kind: 'menu', menu: { ...menu, comment: entered === '' ? undefined : entered } } })
  if (!isDuration(entered)) return still({ ...state, notice: { text: 'write a time such as 30m, 2h or 7d', isBad: true } })
  return chosen(state, menu, { kind: 'for', duration: entered })
}

function inConfirm(state: WatchState, view: View & { kind: 'confirm' }, key: Key): WatchStep {
  const { menu, term, text } = view
  if (key.kind === 'escape') return still({ ...state, view: { kind: 'menu', menu } })
  // a yes that was pasted was not thought about
  if (key.kind === 'paste') return still(state)
  if (key.kind !== 'enter') return still({ ...state, view: { ...view, text: typed(text, key) } })
  if (text.trim() === 'yes') return sent(state, menu.question, draftOf(menu, term))
  return still({ ...state, notice: { text: 'type the whole word yes, or press Esc to go back', isBad: true } })
}

/** What the person is about to do, in words. */
export function confirmText({ menu, term }: { readonly menu: Menu; readonly term: Term }): string {
  return answerText(draftOf(menu, term), menu.question)
}
