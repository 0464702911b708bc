// The demo as a person reads it, and as the JSON lines of `--json`. Pure, but for the colour of the terminal it
// is told of. Everything foreign is escaped.
import { styleText } from 'node:util'
import { escapeText } from '../audit/escape.ts'
import type { JournalRecord } from '../audit/record.ts'
import { asciiJson } from './ascii-json.ts'
import { cardLines } from './card-text.ts'
import { wrap } from './cells.ts'
import type { Question, QuestionCard } from './control-wire.ts'
import { decisionText } from './answer.ts'
import type { WireLine } from './demo-agent.ts'
import { type SceneEnd, type SceneName, sceneNames } from './demo-scenes.ts'
import { plural } from './plural.ts'

const titles: Readonly<Record<SceneName, string>> = {
  allow: 'allow: a host that the policy names',
  deny: 'deny: a host on the denied list',
  hold_allow: 'hold: a host that no rule names; the client waits for the answer',
  hold_deny: 'hold: another one; this client gives up after a second, and follows its question',
}

const wireWidth = 108
// members of an answer that its first line has told already
const told = new Set(['type', 'title', 'status', 'detail', 'scheme', 'host', 'port', 'attempts', 'request_id'])
// calls of the control plane are events too; here they would only be the demo looking
const unseen = new Set(['sallyport.control.called', 'sallyport.session.started'])

export class DemoText {
  readonly #colour: boolean
  readonly #folder: string

  /** `folder`: paths below it are shown from there */
  constructor(hasColour: boolean, folder: string) {
    this.#colour = hasColour
    this.#folder = folder
  }

  opening(facts: { readonly proxyUrl: string; readonly pageUrl: string; readonly originPort: number; readonly agentUrl: string; readonly policy: string; readonly isAuto: boolean }): string {
    const rows = [
      ['proxy', facts.proxyUrl],
      ['page', `${facts.pageUrl}  (reviewers)`],
      ['origin', `127.0.0.1:${facts.originPort}, under the names *.test`],
      ['folder', this.#folder],
      ['agent', `HTTPS_PROXY=${facts.agentUrl}`],
    ]
    const policy = facts.policy.trimEnd().split('\n').map((line) => `    ${this.#dim(line)}\n`).join('')
    const auto = facts.isAuto ? '\n  nobody is asked: the demo answers by itself\n' : ''
    return `${this.#bold('sallyport demo')}: a proxy, an origin and a scripted agent, all on this machine, for as long as this runs\n\n`
      + `${rows.map(([name = '', value = '']) => `  ${name.padEnd(7)} ${escapeText(value)}\n`).join('')}\n  the policy:\n\n${policy}${auto}`
  }

  scene(name: SceneName): string {
    return `\n${this.#bold(`${sceneNames.indexOf(name) + 1}. ${titles[name]}`)}\n\n`
  }

  /** `->` is what the agent sent, `<-` what came back. */
  wire({ direction, text }: WireLine): string {
    const arrow = direction === 'sent' ? this.#paint('cyan', '->') : this.#paint('magenta', '<-')
    const parts = membersOf(text) ?? [text]
    return parts.flatMap((part) => wrap(escapeText(part, 4096), wireWidth)).map((line, at) => `  ${at === 0 ? arrow : '  '} ${line}\n`).join('')
  }

  note(text: string): string {
    return `  ${this.#dim(`.. ${escapeText(text, 2048)}`)}\n`
  }

  question(card: QuestionCard, nowMs: number, page: { readonly url: string; readonly secret: string } | undefined): string {
    const lines = cardLines(card, nowMs)
    const width = Math.max(...lines.map(({ label }) => label.length))
    const rows = lines.map(({ label, text, isWarning }) => `  | ${label.padEnd(width)}  ${isWarning ? this.#paint('yellow', text) : this.#near(text)}\n`).join('')
    const how = page === undefined ? '' : `\n  ${this.#bold('your answer')}: a allows it once, d denies it once (d WORDS gives a reason), then Enter\n`
      + `  or on the page, where this link signs you in: ${page.url}/approvals/${card.question.id}#token=${page.secret}\n\n`
    return `\n  ${this.#bold('a reviewer sees')}\n${rows}${how}`
  }

  answered(question: Question): string {
    const word = question.state === 'allowed' ? this.#paint('green', question.state) : this.#paint(question.state === 'denied' ? 'red' : 'yellow', question.state)
    return `  ${word}: ${escapeText(decisionText(question), 2048)}\n\n`
  }

  end({ reachedOrigin, records }: SceneEnd): string {
    const arrived = reachedOrigin === 0 ? 'nothing reached the origin' : `${plural(reachedOrigin, 'request')} reached the origin`
    const lines = records.filter(({ name }) => !unseen.has(name)).map((record) => `  ${this.#label(record)} ${this.#near(escapeText(record.body, 2048))}\n`)
    return `\n  ${this.#dim(`${arrived}; in the journal:`)}\n${lines.join('')}`
  }

  closing(journal: { readonly records: number; readonly ok: boolean }, kept: string | undefined): string {
    const verified = journal.ok ? `the journal is intact: ${plural(journal.records, 'record')} in one chain of hashes` : this.#paint('red', 'the journal is not intact')
    const folder = kept === undefined
      ? 'everything is taken down and the folder is gone (--keep leaves it)'
      : `the folder is kept: ${escapeText(kept)}\n  read it with: sallyport audit tail --data ${escapeText(`${kept}/var`)}`
    return `\n${this.#bold('the end')}\n\n  ${verified}\n  ${folder}\n\n${this.#bold('what next')}\n\n`
      + '  npm start                              the proxy, with the policies of policies/\n'
      + '  sallyport sessions create --agent ME   a proxy URL for an agent of yours\n'
      + '  docs/agents.md                         how to set up the agents that you know\n'
  }

  #label({ attributes, name }: JournalRecord): string {
    const verdict = attributes['network.policy.decision']
    const word = name === 'sallyport.decision' && typeof verdict === 'string' ? verdict : name.replace(/^sallyport\./, '')
    const text = escapeText(word, 24).padEnd(18)
    return word === 'allow' ? this.#paint('green', text) : word === 'deny' ? this.#paint('red', text) : word === 'ask' ? this.#paint('yellow', text) : text
  }

  #near(text: string): string {
    return text.replaceAll(`${this.#folder}/`, '')
  }

  #bold(text: string): string {
    return this.#paint('bold', text)
  }

  #dim(text: string): string {
    return this.#paint('dim', text)
  }

  #paint(style: 'bold' | 'dim' | 'green' | 'red' | 'yellow' | 'cyan' | 'magenta', text: string): string {
    return this.#colour ? styleText(style, text, { validateStream: false }) : text
  }
}

/** A JSON object as lines, without what is told already; undefined for anything else. */
function membersOf(text: string): readonly string[] | undefined {
  if (!text.startsWith('{')) return undefined
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null) return undefined
  return Object.entries(value).filter(([name]) => !told.has(name)).map(([name, member]) => `${name}: ${typeof member === 'string' ? member : JSON.stringify(member)}`)
}

/** One line of `--json`. */
export function sceneLine(end: SceneEnd, wire: readonly WireLine[]): string {
  const { scene, host, port, status, approval, reachedOrigin, records } = end
  return `${asciiJson({
    scene,
    host,
    port,
    status,
    reached_origin: reachedOrigin > 0,
    approval: approval === undefined ? null : { id: approval.id, state: approval.state, by: approval.decision?.by ?? null, comment: approval.decision?.comment ?? null },
    wire,
    events: records.filter(({ name }) => !unseen.has(name)).map(({ seq, name, body, attributes }) => ({ seq, name, decision: attributes['network.policy.decision'] ?? null, body })),
  })}\n`
}
