// The screen of `approvals watch` as lines of text: one frame from one state. Pure. Every line fits the width,
// and whatever is foreign is escaped before it is placed.
import { escapeText } from '../audit/escape.ts'
import { type CardLine, cardLines, questionLines, stateText } from './card-text.ts'
import { cellWidth, fit, pad, wrap } from './cells.ts'
import { placeOf } from './question-finder.ts'
import { plural } from './plural.ts'
import { span } from './time-words.ts'
import { confirmText, widerChoices } from './watch-model.ts'
import { cardOf, type Menu, isTooSmall, leastColumns, leastRows, selectedQuestion, snoozeLines, termLinesOf, type WatchState } from './watch-state.ts'
import type { Question } from './control-wire.ts'

type Tone = 'plain' | 'strong' | 'faint' | 'bad' | 'good' | 'warn' | 'chosen'

interface Line {
  /** escaped, no wider than the screen */
  readonly text: string
  readonly tone: Tone
}

// SGR parameters (ECMA-48 8.3.117): the sixteen colours that every terminal has
const tones: Readonly<Record<Tone, string>> = { plain: '', strong: '1', faint: '2', bad: '31', good: '32', warn: '33', chosen: '7' }

/** As many lines as the screen has rows. */
export function frame(state: WatchState, hasColour: boolean): string[] {
  const { columns, rows } = state.size
  const lines = isTooSmall(state.size) ? tooSmall(state) : wholeFrame(state)
  return Array.from({ length: rows }, (_, at) => {
    const { text, tone } = lines[at] ?? { text: '', tone: 'plain' }
    const cut = fit(text, columns)
    if (!hasColour || tones[tone] === '' || cut === '') return cut
    return `\x1b[${tones[tone]}m${tone === 'chosen' ? pad(cut, columns) : cut}\x1b[0m`
  })
}

function tooSmall({ size }: WatchState): Line[] {
  return [plain(`at least ${leastColumns} x ${leastRows}, please`), plain(`this is ${size.columns} x ${size.rows}; q quits`)]
}

function plain(text: string): Line {
  return { text, tone: 'plain' }
}

function wholeFrame(state: WatchState): Line[] {
  const { columns, rows } = state.size
  const list = listRows(state)
  // a menu needs its lines more than the list does
  const most = state.view.kind === 'list' || state.view.kind === 'sending' ? Math.floor((rows - 5) / 3) : rows - 18
  const shown = Math.max(1, Math.min(Math.max(3, list.length), most))
  const top = [titleLine(state), { text: listHeading(columns), tone: 'faint' } as const, ...windowOf(list, shown, selectedRow(state)), rule(columns)]
  const foot = [noticeLine(state), { text: keysText(state), tone: 'faint' } as const]
  const room = rows - top.length - foot.length
  const body = bodyLines(state, room)
  return [...top, ...Array.from({ length: room }, (_, at) => body[at] ?? plain('')), ...foot]
}

function rule(columns: number): Line {
  return { text: '─'.repeat(columns), tone: 'faint' }
}

function titleLine({ questions, trouble, nowMs, size }: WatchState): Line {
  const held = questions.reduce((sum, { waiting }) => sum + waiting, 0)
  const left = `sallyport approvals: ${questions.length === 0 ? 'no question is open' : `${plural(questions.length, 'question')}, ${held} held`}`
  const right = `${trouble === undefined ? 'live' : 'NOT LIVE'}  ${new Date(nowMs).toISOString().slice(11, 19)}Z`
  const gap = size.columns - cellWidth(left) - right.length
  return { text: gap < 1 ? left : `${left}${' '.repeat(gap)}${right}`, tone: trouble === undefined ? 'strong' : 'bad' }
}

interface Widths {
  readonly host: number
  readonly agent: number
}

function widthsOf(columns: number): Widths {
  // mark 2, tries 5, held 5, age 7, state 15, gaps
  const free = Math.max(18, columns - (columns < 70 ? 16 : 38))
  const agent = Math.min(16, Math.floor(free / 3))
  return { host: free - agent - 2, agent }
}

function listHeading(columns: number): string {
  return columnsText(columns, ['  ', 'HOST', 'AGENT', 'HELD', 'AGE', 'TRIES', 'STATE'])
}

function columnsText(columns: number, cells: readonly string[]): string {
  const [mark = '', host = '', agent = '', held = '', age = '', tries = '', state = ''] = cells
  const { host: hostWidth, agent: agentWidth } = widthsOf(columns)
  const text = `${mark}${pad(host, hostWidth)}  ${pad(agent, agentWidth)} ${pad(held, 5)}${pad(age, 8)}`
  return (columns < 70 ? text : `${text}${pad(tries, 6)}${fit(state, 15)}`).trimEnd()
}

function listRows(state: WatchState): Line[] {
  return state.questions.map((question) => ({
    text: rowText(state, question),
    tone: question.id === state.selected ? 'chosen' : question.waiting === 0 ? 'faint' : 'plain',
  }))
}

function rowText({ selected, size, nowMs }: WatchState, question: Question): string {
  const { id, kind, method, agent, waiting, firstSeenMs, attempts } = question
  const place = escapeText(kind === 'fetch' ? `page of ${placeOf(question)}` : kind === 'request' ? `${method ?? ''} ${placeOf(question)}` : placeOf(question), 300)
  return columnsText(size.columns, [id === selected ? '> ' : '  ', tail(place, widthsOf(size.columns).host), escapeText(agent, 100), String(waiting), span(nowMs - firstSeenMs), String(attempts), escapeText(stateText(question, nowMs))])
}

/** A host that is too long is cut at its front: the domain that counts stands at its end. */
function tail(text: string, width: number): string {
  return cellWidth(text) <= width ? text : `…${Array.from(text).slice(-(width - 1)).join('')}`
}

function selectedRow({ questions, selected }: WatchState): number {
  return Math.max(0, questions.findIndex(({ id }) => id === selected))
}

/** As many rows as there is room for, the selected one among them. */
function windowOf(rows: readonly Line[], count: number, at: number): Line[] {
  const from = Math.max(0, Math.min(at - Math.floor(count / 2), rows.length - count))
  return Array.from({ length: count }, (_, row) => rows[from + row] ?? plain(''))
}

function bodyLines(state: WatchState, room: number): Line[] {
  const { view, size } = state
  switch (view.kind) {
    case 'help':
      return helpLines()
    case 'menu':
      return menuLines(state, view.menu)
    case 'snooze':
      return [
        { text: `  ask about ${escapeText(placeOf(view.question))} again in`, tone: 'strong' },
        ...snoozeLines.map(({ letter, text }, at) => choiceLine(letter, text, at === view.line)),
      ]
    case 'input':
      return [
        { text: view.what === 'comment' ? '  why? kept with the answer, and the agent can read it' : '  for how long? such as 30m, 2h or 7d', tone: 'strong' },
        plain(''),
        ...inputLines(view.text, size.columns),
      ]
    case 'confirm':
      return [
        ...wrapped(escapeText(confirmText(view), 16_384), size.columns, 'warn').slice(0, room - 5),
        plain(''),
        plain(view.term.kind === 'fetch' ? '  look at the whole URL: it may carry something out. Type yes and Enter to fetch it:' : '  this reaches further than what was asked. Type yes and Enter to do it:'),
        ...inputLines(view.text, size.columns),
      ]
    default:
      return contextLines(state, room)
  }
}

function wrapped(text: string, columns: number, tone: Tone): Line[] {
  return wrap(text, columns - 4).map((line) => ({ text: `  ${line}`, tone }))
}

function inputLines(text: string, columns: number): Line[] {
  const lines = wrap(`${escapeText(text)}_`, columns - 6)
  return lines.map((line, at) => plain(`  ${at === 0 ? '> ' : '  '}${line}`))
}

function choiceLine(letter: string, text: string, isChosen: boolean): Line {
  return { text: `${isChosen ? '  > ' : '    '}${letter}  ${text}`, tone: isChosen ? 'chosen' : 'plain' }
}

function menuLines(state: WatchState, menu: Menu): Line[] {
  const { question, verdict, line, subdomains, allPorts, who, comment } = menu
  const wider = widerChoices(menu)
  const whos = { session: 'this session', agent: `every session of agent ${question.agent}`, team: `every session of team ${question.team ?? '-'}` }
  const title = `  ${verdict} ${placeOf(question)} for ${question.agent}`
  return [
    { text: escapeText(title), tone: verdict === 'allow' ? 'good' : 'bad' },
    ...termLinesOf(menu).map(({ letter, text }, at) => choiceLine(letter, text, at === line)),
    ...(wider.subdomains ? [plain(`    b  ${box(subdomains)} every name below it too`)] : []),
    ...(wider.ports ? [plain(`    p  ${box(allPorts)} every port`)] : []),
    plain(`    w  for ${escapeText(whos[who], 200)}`),
    plain(`    c  comment: ${comment === undefined ? commentText(state, menu) : escapeText(comment)}`),
  ]
}

/** A box with its tick or without. */
function box(isOn: boolean): string {
  return isOn ? '[x]' : '[ ]'
}

function commentText(state: WatchState, { question }: Menu): string {
  const kinds = cardOf(state, question)?.commentFor ?? []
  return kinds.length === 0 ? '-' : `- (the policy wants one for ${escapeText(kinds.join(', '), 200)})`
}

/** The context of what is selected, from where it is scrolled to. */
function contextLines(state: WatchState, room: number): Line[] {
  const question = selectedQuestion(state)
  if (question === undefined) return [plain(''), plain('  When an agent asks for a host that no rule names, it shows up here.')]
  const card = cardOf(state, question)
  // the card is as old as its version; what is counted on every attempt is in the list
  const lines = card === undefined ? [...questionLines(question, state.nowMs), { label: '', text: 'reading the rest …', isWarning: false }] : cardLines({ ...card, question }, state.nowMs)
  const all = lines.flatMap((line) => contextLine(line, state.size.columns))
  const from = Math.max(0, Math.min(state.scroll, all.length - room))
  const shown = all.slice(from, from + room)
  if (from + room >= all.length) return shown
  return [...shown.slice(0, -1), { text: `            … ${all.length - from - room + 1} more: PgDn`, tone: 'faint' }]
}

function contextLine({ label, text, isWarning }: CardLine, columns: number): Line[] {
  return wrap(text, columns - 12).map((line, at) => ({ text: `  ${pad(at === 0 ? label : '', 9)} ${line}`, tone: isWarning ? 'warn' : 'plain' }))
}

function helpLines(): Line[] {
  return [
    '  up, down, j, k   choose a question        PgUp, PgDn   scroll its context',
    '  a                allow it ...             d            deny it ...',
    '  f                fetch the page, where the question is about one',
    '  s                ask again later          Esc          back, nothing is done',
    '  q, Ctrl-C        leave; questions stay    Ctrl-L       draw again',
    '',
    '  An answer is for the host, port and session that asked, unless you choose more.',
    '  What reaches further, or always, is done only when you type yes.',
    '  Any key goes back.',
  ].map(plain)
}

function noticeLine({ notice, trouble, view }: WatchState): Line {
  if (notice !== undefined) return { text: ` ${escapeText(notice.text)}`, tone: notice.isBad ? 'bad' : 'good' }
  if (trouble !== undefined) return { text: ` ${escapeText(trouble)}`, tone: 'bad' }
  return plain(view.kind === 'sending' ? ' sending the answer …' : '')
}

function keysText({ view }: WatchState): string {
  switch (view.kind) {
    case 'list':
      return ' a allow  d deny  f fetch a page  s snooze  up/down choose  PgDn context  ? help  q quit'
    case 'menu':
      return ' a letter, or up/down and Enter, answers at once; b p w widen; Esc back'
    case 'snooze':
      return ' a number, or up/down and Enter; Esc back'
    case 'input':
    case 'confirm':
      return ' Enter goes on; Esc back'
    default:
      return ''
  }
}
