// What the journal is asked to record in W7: the exchanges of a few agents, as the gate would describe them.
// Most are tunnels that are allowed, some are plain requests, one in ten is refused. Pure.
import type { EventSubject } from '../../src/audit/decision-event.ts'
import type { Ending } from '../../src/audit/ended-event.ts'
import type { Redaction } from '../../src/audit/redaction.ts'
import type { Decision } from '../../src/policy/decision.ts'

export type Answer = Pick<Decision, 'verdict' | 'code' | 'reason' | 'rule' | 'revision' | 'monitored'>

export interface Sample {
  /** all but the request id, which is new for each exchange */
  readonly subject: EventSubject
  readonly answer: Answer
  readonly ending: Ending
  readonly durationMs: number
}

export const redaction: Redaction = { url: 'path', key: new Uint8Array(32).fill(7) }

const revision = '0123456789ab'
const principals = ['s-4f1c22', 's-9ab031', 's-c07e5d', 's-e18874'].map((session) => ({ session, agent: 'codex', team: 'web', owner: 'alice' }))
const hosts = ['api.openai.example', 'registry.packages.example', 'objects.code.example', 'telemetry.vendor.example', 'docs.language.example'] as const
const paths = ['/v2/packages/left-pad/1.3.0', '/repos/acme/widgets/contents/src/main.ts', '/index/ab/cd/abcdef'] as const

function tunnel(place: number, isAllowed: boolean): Sample {
  const host = hosts[place % hosts.length] ?? ''
  const answer: Answer = isAllowed
    ? { verdict: 'allow', code: 'allowed', reason: `${host} is allowed`, rule: { id: 'allowed_domains', pattern: `*.${host.slice(host.indexOf('.') + 1)}`, file: 'policies/10-base.toml', line: 4 + place }, revision, monitored: undefined }
    : { verdict: 'deny', code: 'denied_by_rule', reason: `${host} is on the denied list`, rule: { id: 'denied_domains', pattern: host, file: 'policies/10-base.toml', line: 60 + place }, revision, monitored: undefined }
  const ending: Ending = isAllowed
    ? { outcome: 'completed', status: 200, bytesFromClient: 1482 + 97 * place, bytesFromOrigin: 90_210 + 1313 * place, peerAddress: `192.0.2.${7 + place}` }
    : { outcome: 'refused', code: 'denied_by_rule', status: 403, bytesFromClient: 0, bytesFromOrigin: 0 }
  return { subject: subject(place, host, { port: 443, method: 'CONNECT', scheme: 'https', protocol: 'https_connect', path: undefined, query: undefined }), answer, ending, durationMs: isAllowed ? 812.4 + 31.7 * place : 0.84 }
}

function plain(place: number): Sample {
  const { answer, ending, durationMs, subject: { host } } = tunnel(place, true)
  const path = paths[place % paths.length]
  return { subject: subject(place, host, { port: 80, method: 'GET', scheme: 'http', protocol: 'http', path, query: 'page=2&per_page=100' }), answer, ending, durationMs }
}

type Asked = Pick<EventSubject, 'port' | 'method' | 'scheme' | 'protocol' | 'path' | 'query'>

function subject(place: number, host: string, asked: Asked): EventSubject {
  const principal = principals[place % principals.length]
  if (principal === undefined) throw new Error('there is no principal')
  return { requestId: '', principal, advisory: false, clientAddress: '127.0.0.1', host, ...asked, userAgent: 'codex_cli_rs/0.169.0 (Debian 12.0.0; x86_64)', mode: 'enforce' }
}

/** Twenty exchanges: twelve tunnels and six plain requests that are allowed, two tunnels that are refused. */
export const samples: readonly Sample[] = Array.from({ length: 20 }, (_, place) => {
  if (place % 10 === 9) return tunnel(place, false)
  return place % 3 === 2 ? plain(place) : tunnel(place, true)
})
