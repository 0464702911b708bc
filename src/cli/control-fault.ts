// Why a call of the control API did not do what was asked, as one sentence with what to do. It never holds a
// token, and what the server says in it is escaped.
import { escapeText } from '../audit/escape.ts'

/** `message` is for the person at the terminal. */
export class ControlFault extends Error {
  override readonly name = 'ControlFault'
  /** problem code of the API; `unreachable` and `unexpected` are ours */
  readonly code: string
  /** HTTP status; 0 when there was no answer */
  readonly status: number
  /** the problem document, when there was one */
  readonly problem: Readonly<Record<string, unknown>> | undefined

  constructor(code: string, message: string, status = 0, problem?: Readonly<Record<string, unknown>>) {
    super(message)
    this.code = code
    this.status = status
    this.problem = problem
  }
}

/** What to do, for the codes whose sentence does not say so itself. */
const remedies: Readonly<Record<string, string>> = {
  agent_credential: 'agents may not answer questions: use a token that `sallyport tokens create` made for you',
  self_approval: 'someone else has to answer',
  scope_not_allowed: 'ask for less: --once or --session, without a wider scope',
  version_conflict: 'read it again with `sallyport approvals show` and answer then',
  comment_required: 'say why with --comment TEXT',
  audit_unavailable: 'nothing was changed; see the operator log and the disk of the proxy',
  rate_limited: 'wait a moment and try again',
}

/** The fault that an answer other than 2xx and 304 means. */
export function faultOfAnswer(status: number, body: unknown, hadToken: boolean): ControlFault {
  const problem = isObject(body) ? body : undefined
  const code = typeof problem?.['code'] === 'string' ? problem['code'] : `http_${status}`
  if (status === 401) {
    const why = hadToken
      ? 'the token is not valid here: it is wrong, expired or revoked; an admin makes another with `sallyport tokens create`'
      : 'a token is needed here: give one with --token-file FILE or SALLYPORT_TOKEN'
    return new ControlFault(code, why, status, problem)
  }
  const said = sentenceOf(problem) ?? `the control listener answered ${status}`
  const remedy = code === 'not_permitted' ? roleRemedy(said) : Object.hasOwn(remedies, code) ? remedies[code] : undefined
  return new ControlFault(code, remedy === undefined ? said : `${said}: ${remedy}`, status, problem)
}

/** Not every one who may not is in the wrong role: two who are one person stay that. */
function roleRemedy(said: string): string | undefined {
  return /\brole\b/.test(said) ? 'it takes another token; an admin makes one with `sallyport tokens create`' : undefined
}

function sentenceOf(problem: Readonly<Record<string, unknown>> | undefined): string | undefined {
  const text = problem?.['detail'] ?? problem?.['title']
  if (typeof text !== 'string' || text === '') return undefined
  const wrong = Array.isArray(problem?.['errors']) ? problem['errors'].flatMap(pointerText) : []
  return escapeText([text, ...wrong].join('; ').replace(/[.:]$/, ''))
}

function pointerText(each: unknown): string[] {
  if (!isObject(each) || typeof each['message'] !== 'string') return []
  return [typeof each['pointer'] === 'string' && each['pointer'] !== '' ? `${each['pointer']} ${each['message']}` : each['message']]
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
