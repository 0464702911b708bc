// What a reviewer is warned of: one plain sentence each, from what the question itself says. No text of the
// agent's is repeated in a hint, and a hint decides nothing.
import { isDefaultPort } from '../policy/ports.ts'
import { unicodeHost } from '../target/host.ts'
import type { Approval } from './approval.ts'
import type { Hint, HintCode } from './card.ts'
import { isSafeToShow } from './confusable.ts'
import { categoriesOf } from './host-categories.ts'
import type { HostCategory } from './host-categories.ts'
import { hostOf } from './question.ts'

/** What is known beside the question. */
export interface HintFacts {
  readonly registrableDomain: string | undefined
  /** the allowed domain that this one could be taken for */
  readonly resembled: string | undefined
  /** nobody asked for this domain before */
  readonly isFirst: boolean
  /** questions of this session that are open */
  readonly openQuestions: number
}

const longName = 60
const deepName = 4
const manyQuestions = 10
const readingMethods: readonly string[] = ['GET', 'HEAD', 'OPTIONS', 'TRACE']

const categoryTexts: Readonly<Record<HostCategory, string>> = {
  paste_site: 'A paste site: whatever is sent there can be read by whoever has the link.',
  tunnel_service: 'A tunnel service: behind this name is a machine of whoever opened the tunnel.',
  webhook_service: 'A request catcher: it keeps what it is sent for whoever set it up.',
  file_drop: 'A file drop: it takes uploads from anybody and hands them on.',
  url_shortener: 'A URL shortener: it leads on to somewhere else, and what it is asked can be counted.',
  dynamic_dns: 'A dynamic name: it belongs to whoever has the account and points wherever they say.',
}

/** The hints of a question; what is about the name first. */
export function hintsOf(approval: Approval, facts: HintFacts): readonly Hint[] {
  const hints: Hint[] = [...(hostOf(approval.host).kind === 'ip' ? [addressHint] : nameHints(approval.host, facts))]
  const add = (code: HintCode, text: string): void => {
    hints.push({ code, text })
  }
  if (facts.isFirst) add('first_time_here', `Nobody here has asked for ${facts.registrableDomain ?? approval.host} before.`)
  if (!isDefaultPort('request', approval.scheme, approval.port)) {
    add('unusual_port', `Port ${approval.port} is not the usual one of ${approval.scheme}, which is ${approval.scheme === 'https' ? 443 : 80}.`)
  }
  if (approval.scheme === 'http') add('plain_http', 'Plain http: everybody on the way can read and change what is sent and what comes back.')
  if (approval.method !== undefined && !readingMethods.includes(approval.method)) {
    add('upload_method', 'The method can send data out, and change things there.')
  }
  if (facts.openQuestions >= manyQuestions) add('many_questions', `This session has ${facts.openQuestions} open questions: take the time that each of them needs.`)
  if (approval.advisory) add('advisory', 'The agent runs as the same user as the proxy, so it could answer its own question or go around it.')
  return hints
}

const addressHint: Hint = { code: 'ip_literal', text: 'An address and not a name: it does not say whose it is.' }

function nameHints(host: string, { registrableDomain, resembled }: HintFacts): readonly Hint[] {
  const hints: Hint[] = []
  const decoded = unicodeHost(host)
  if (decoded !== host) hints.push({ code: 'punycode', text: 'The name has letters beyond ASCII; its `xn--` form is what is dialled.' })
  if (decoded !== host && !isSafeToShow(decoded)) {
    hints.push({ code: 'confusable', text: 'Its letters mix scripts or look like others, so it could be taken for another name: go by the `xn--` form.' })
  }
  if (resembled !== undefined) hints.push({ code: 'resembles_allowed', text: `It looks like ${resembled}, which is allowed, and is not the same.` })
  for (const code of categoriesOf(host)) hints.push({ code, text: categoryTexts[code] })
  const whose = registrableDomain === undefined ? '' : `: what counts is its end, ${registrableDomain}`
  if (host.length > longName) hints.push({ code: 'long_name', text: `The name has ${host.length} characters${whose}.` })
  const below = labelsOf(host) - labelsOf(registrableDomain ?? host)
  if (below >= deepName) hints.push({ code: 'deep_name', text: `The name has ${below} labels before ${registrableDomain ?? 'its end'}; data can be carried in them.` })
  return hints
}

function labelsOf(name: string): number {
  return name.split('.').length
}
