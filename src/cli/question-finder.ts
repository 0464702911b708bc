// Which question, grant or other thing a person means: a whole id, the beginning of one, or a host. What could
// mean two is refused with both named, never guessed.
import { domainToASCII } from 'node:url'
import { escapeText } from '../audit/escape.ts'
import { ProxyError } from '../errors.ts'
import { parseIp } from '../target/address.ts'
import { parseAuthority } from '../target/authority.ts'
import { uriHost } from '../target/host.ts'
import type { ControlClient } from './control-client.ts'
import { ControlFault } from './control-fault.ts'
import { type Page, type Question, type QuestionCard, readCard, readPage, readQuestion } from './control-wire.ts'
import { plural } from './plural.ts'
import { UsageError } from './run.ts'

export interface QuestionFilter {
  /** undefined: all */
  readonly state: string | undefined
  readonly host?: string | undefined
  readonly session?: string | undefined
}

const pageSize = 100
const fewestLetters = 4
// ULID: Crockford's base 32, without I, L, O and U
const idLetters = /^[0-9a-hjkmnp-tv-z]+$/i

/** Up to `most` questions, oldest first, and where the rest begins. */
export async function listQuestions(client: ControlClient, filter: QuestionFilter, most: number, options: { readonly signal?: AbortSignal; readonly waitSeconds?: number } = {}): Promise<Page<Question>> {
  const items: Question[] = []
  let next: string | undefined
  do {
    const query = new URLSearchParams({ limit: String(Math.min(pageSize, most - items.length)) })
    for (const [name, value] of Object.entries({ ...filter, cursor: next })) if (value !== undefined) query.set(name, value)
    const { body } = await client.call('GET', `/v1/approvals?${query.toString()}`, next === undefined ? options : signalOf(options))
    const page = readPage(body, readQuestion)
    items.push(...page.items)
    next = page.items.length === 0 ? undefined : page.next
  } while (next !== undefined && items.length < most)
  return { items, next }
}

function signalOf({ signal }: { readonly signal?: AbortSignal }): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal }
}

/** The question with everything about it. */
export async function loadCard(client: ControlClient, id: string, signal?: AbortSignal): Promise<QuestionCard> {
  const { body } = await client.call('GET', `/v1/approvals/${encodeURIComponent(id)}`, signal === undefined ? {} : { signal })
  return readCard(body)
}

/** The id that `asked` means. `states`: where to look, in this order. Throws ControlFault `not_found` or `ambiguous`. */
export async function findQuestion(client: ControlClient, asked: string, states: readonly (string | undefined)[]): Promise<string> {
  if (asked.length === 26 && idLetters.test(asked)) return asked.toUpperCase()
  for (const state of states) {
    const { items } = await listQuestions(client, { state }, 2000)
    const found = items.filter((question) => isMeant(question, asked))
    const [first, second] = found
    if (first !== undefined && second === undefined) return first.id
    if (first !== undefined) throw ambiguous(asked, 'question', found.map((each) => ({ id: each.id, text: `${placeOf(each)} for ${each.agent} in session ${each.session}` })))
  }
  const what = states.includes(undefined) ? 'question' : 'open question'
  throw new ControlFault('not_found', `there is no ${what} about \`${escapeText(asked, 300)}\`, and none whose id begins so: \`sallyport approvals list\` shows them`)
}

/** The item whose id is `asked` or begins so. Throws ControlFault. */
export function findById<T extends { readonly id: string }>(items: readonly T[], asked: string, what: string, textOf: (item: T) => string): T {
  const exact = items.find(({ id }) => id.toUpperCase() === asked.toUpperCase())
  if (exact !== undefined) return exact
  const found = items.filter(({ id }) => isBeginning(id, asked))
  const [first, second] = found
  if (first === undefined) throw new ControlFault('not_found', `there is no ${what} whose id begins with \`${escapeText(asked, 300)}\`: \`sallyport ${what}s list\` shows them`)
  if (second !== undefined) throw ambiguous(asked, what, found.map((each) => ({ id: each.id, text: textOf(each) })))
  return first
}

function ambiguous(asked: string, what: string, found: readonly { readonly id: string; readonly text: string }[]): ControlFault {
  const list = found.slice(0, 10).map(({ id, text }) => `\n  ${escapeText(id, 64)}  ${escapeText(text, 300)}`).join('')
  const more = found.length > 10 ? `\n  and ${found.length - 10} more` : ''
  return new ControlFault('ambiguous', `\`${escapeText(asked, 300)}\` means ${plural(found.length, what)}; name one by its id:${list}${more}`)
}

function isMeant(question: Question, asked: string): boolean {
  return isBeginning(question.id, asked) || isHost(question, asked)
}

function isBeginning(id: string, asked: string): boolean {
  return asked.length >= fewestLetters && idLetters.test(asked) && id.toUpperCase().startsWith(asked.toUpperCase())
}

/** `lib.test`, `lib.test:8443` or the URL itself; read by the parser that the proxy reads hosts with. */
function isHost({ host, port, scheme }: Question, asked: string): boolean {
  const [, named, authority = ''] = /^(?:(https?):\/\/)?([^/?#]*)/i.exec(asked) ?? []
  try {
    const isBareIpv6 = authority.includes(':') && parseIp(authority) !== undefined
    const text = isBareIpv6 ? `[${authority}]` : asciiAuthority(authority)
    const target = parseAuthority(text, 0)
    const hasPort = /:\d+$/.test(text.replace(/^\[.*\]/, ''))
    return target.host.text === host && (!hasPort || target.port === port) && (named === undefined || named.toLowerCase() === scheme)
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    return false
  }
}

/** The host that `--host` names, as the proxy writes it; throws UsageError. */
export function readHostOption(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  try {
    return parseAuthority(parseIp(text) === undefined ? asciiAuthority(text) : uriHost(text), 443).host.text
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    throw new UsageError(`\`--host ${escapeText(text, 300)}\` is not a host name or an address`)
  }
}

/** A name typed in its own letters is looked for in its ASCII form (UTS 46), as the proxy saw it. */
function asciiAuthority(authority: string): string {
  const [, name = '', port = ''] = /^([^:]*)(:.*)?$/s.exec(authority) ?? []
  return /^[\x21-\x7e]*$/.test(name) ? authority : domainToASCII(name) + port
}

/** `lib.test:443`, `[2001:db8::7]:443` */
export function placeOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${uriHost(host)}:${port}`
}
