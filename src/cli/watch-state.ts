// What the screen of `approvals watch` knows: the questions, where the person stands, and what is asked of the
// outside. Types and small readers only; watch-model.ts says how it changes, watch-frame.ts how it looks.
import type { AnswerDraft, Term, Verdict } from './answer.ts'
import type { Question, QuestionCard } from './control-wire.ts'
import type { Key } from './watch-keys.ts'
import type { ScreenSize } from './terminal.ts'

export interface Menu {
  /** as it was when the menu was opened: the version that is answered */
  readonly question: Question
  readonly verdict: Verdict
  /** line that Enter takes; undefined until an arrow key was used, so that Enter alone does nothing */
  readonly line: number | undefined
  readonly subdomains: boolean
  readonly allPorts: boolean
  readonly who: AnswerDraft['who']
  readonly comment: string | undefined
}

export type View =
  | { readonly kind: 'list' }
  | { readonly kind: 'help' }
  | { readonly kind: 'menu'; readonly menu: Menu }
  | { readonly kind: 'snooze'; readonly question: Question; readonly line: number | undefined }
  /** a line is typed: the comment, or for how long */
  | { readonly kind: 'input'; readonly menu: Menu; readonly what: 'comment' | 'time'; readonly text: string }
  /** `yes` has to be typed */
  | { readonly kind: 'confirm'; readonly menu: Menu; readonly term: Term; readonly text: string }
  /** the answer is on its way */
  | { readonly kind: 'sending'; readonly question: Question }

export interface WatchState {
  /** open ones: those that are not snoozed first, oldest first */
  readonly questions: readonly Question[]
  readonly selected: string | undefined
  /** by id; of the version that was read */
  readonly cards: ReadonlyMap<string, QuestionCard>
  readonly view: View
  readonly notice: { readonly text: string; readonly isBad: boolean } | undefined
  /** why the list is not fresh; undefined: it is */
  readonly trouble: string | undefined
  /** first line of the context that is shown */
  readonly scroll: number
  readonly size: ScreenSize
  readonly nowMs: number
}

export type WatchEvent =
  | { readonly kind: 'key'; readonly key: Key }
  | { readonly kind: 'questions'; readonly questions: readonly Question[] }
  | { readonly kind: 'card'; readonly card: QuestionCard }
  | { readonly kind: 'trouble'; readonly message: string | undefined }
  /** the answer or the snooze went through, or did not */
  | { readonly kind: 'done'; readonly text: string; readonly isBad: boolean }
  | { readonly kind: 'notice'; readonly text: string }
  | { readonly kind: 'size'; readonly size: ScreenSize }
  | { readonly kind: 'tick'; readonly nowMs: number }

export type WatchEffect =
  | { readonly kind: 'load'; readonly id: string }
  | { readonly kind: 'answer'; readonly question: Question; readonly draft: AnswerDraft }
  | { readonly kind: 'snooze'; readonly question: Question; readonly duration: string }
  | { readonly kind: 'redraw' }
  | { readonly kind: 'quit' }

export interface WatchStep {
  readonly state: WatchState
  readonly effects: readonly WatchEffect[]
}

export interface TermLine {
  readonly letter: string
  readonly text: string
  /** undefined: the time is asked for */
  readonly term: Term | undefined
}

/** Of a page that is not in the cache: what opens nothing comes first. */
const fetchLine: TermLine = { letter: 'f', text: 'fetch this page once into the cache; nothing is opened', term: { kind: 'fetch', isConfirmed: false } }

/** The lines of a menu. */
export function termLinesOf({ question, verdict }: Pick<Menu, 'question' | 'verdict'>): readonly TermLine[] {
  if (question.kind === 'host') return termLines
  const lines = termLines.map((line) => (line.term?.kind === 'always' ? { ...line, text: 'always: for as long as a grant may last; no rule is made of it' } : line))
  if (question.kind !== 'fetch' || verdict === 'deny') return lines
  return [fetchLine, ...lines.map((line) => ({ ...line, text: `let the host be read live, ${line.text}` }))]
}

/** Terms in the order of the menu, the shortest first. */
const termLines: readonly TermLine[] = [
  { letter: 'o', text: 'once: what waits now, or the next retry', term: { kind: 'once' } },
  { letter: 's', text: 'until this session ends', term: { kind: 'session' } },
  { letter: '1', text: 'for 1 hour', term: { kind: 'for', duration: '1h' } },
  { letter: '8', text: 'for 8 hours', term: { kind: 'for', duration: '8h' } },
  { letter: 't', text: 'for another time …', term: undefined },
  { letter: 'a', text: 'always, and a rule for all sessions of the agent', term: { kind: 'always' } },
]

export const snoozeLines: readonly { readonly letter: string; readonly text: string; readonly duration: string }[] = [
  { letter: '1', text: '15 minutes', duration: '15m' },
  { letter: '2', text: '1 hour', duration: '1h' },
  { letter: '3', text: '4 hours', duration: '4h' },
]

/** What the menu makes of a term. */
export function draftOf({ verdict, subdomains, allPorts, who, comment }: Menu, term: Term): AnswerDraft {
  return { verdict, term, subdomains, allPorts, who, comment }
}

/** The question that is selected. */
export function selectedQuestion({ questions, selected }: WatchState): Question | undefined {
  return questions.find(({ id }) => id === selected)
}

/** The card of a question, when it is of the version that is shown. */
export function cardOf({ cards }: WatchState, { id, version }: Question): QuestionCard | undefined {
  const card = cards.get(id)
  return card?.question.version === version ? card : undefined
}

export const leastColumns = 40
export const leastRows = 18

/** Too small to see what is decided, so nothing is. */
export function isTooSmall({ columns, rows }: ScreenSize): boolean {
  return columns < leastColumns || rows < leastRows
}

export function initialState(size: ScreenSize, nowMs: number): WatchState {
  return { questions: [], selected: undefined, cards: new Map(), view: { kind: 'list' }, notice: undefined, trouble: undefined, scroll: 0, size, nowMs }
}
