// What must hold after approvals were raced: compares the journal with what clients and reviewers heard and with
// what reached the origins. Pure; each broken promise is one sentence.
import type { JournalRecord } from './proxy.ts'

/** One request and what its client heard. */
export interface Heard {
  readonly number: number
  readonly host: string
  readonly session: string
  readonly isTunnel: boolean
  /** its connection was closed without an answer, and nothing was killed */
  readonly isCut: boolean
  /** undefined: it left, was cut, or the proxy was killed */
  readonly status: number | undefined
}

export interface Seen {
  readonly heard: readonly Heard[]
  /** verdicts that reviewers were told are in force, by approval */
  readonly decided: ReadonlyMap<string, string>
  /** paths of the plain requests that reached their origin */
  readonly targets: readonly string[]
  /** connections that the origin of tunnels accepted */
  readonly tunnels: number
  readonly tunnelPort: number
}

const isEnd = /^sallyport\.approval\.(?:decided|expired|withdrawn)$/

function text(record: JournalRecord, name: string): string {
  return String(record.attributes[name])
}

/** Everything that ended, by approval. */
function endsOf(records: readonly JournalRecord[]): Map<string, JournalRecord[]> {
  const ends = new Map<string, JournalRecord[]>()
  for (const record of records) {
    if (!isEnd.test(record.name)) continue
    const id = text(record, 'sallyport.approval.id')
    ends.set(id, [...(ends.get(id) ?? []), record])
  }
  return ends
}

/** What a restart took up: `listed` are the approvals that are pending now, `shown` those that somebody was told of
 * before. A prompt is journaled first: one that nobody was told of may have been killed between. */
export function checkRestart(records: readonly JournalRecord[], listed: readonly { readonly id: string; readonly waiting: number }[], decided: ReadonlyMap<string, string>, shown: ReadonlySet<string>): string[] {
  const broken: string[] = []
  const ends = endsOf(records)
  const pending = new Set(listed.map(({ id }) => id))
  const asked = new Set<string>()
  for (const record of records) if (record.name === 'sallyport.approval.requested') asked.add(text(record, 'sallyport.approval.id'))
  for (const id of shown) if (!ends.has(id) && !pending.has(id)) broken.push(`approval ${id} was pending and is gone`)
  for (const { id, waiting } of listed) {
    if (waiting !== 0) broken.push(`approval ${id} has ${waiting} waiting sockets that did not survive`)
    if (decided.has(id)) broken.push(`approval ${id} is pending, and a reviewer was told that it is decided`)
    if (!asked.has(id)) broken.push(`approval ${id} is pending, and no prompt of it is in the journal`)
  }
  return broken
}

export function checkRaces(records: readonly JournalRecord[], seen: Seen): string[] {
  return [...checkOutcomes(records, seen), ...checkGrants(records), ...checkDials(records, seen), ...checkHeard(records, seen)]
}

/** One outcome for each approval, and it is the one that reviewers were told. */
function checkOutcomes(records: readonly JournalRecord[], { decided }: Seen): string[] {
  const broken: string[] = []
  const ends = endsOf(records)
  for (const [id, all] of ends) {
    // an outcome that a kill kept from taking effect is followed by the one that did, in another process
    if (new Set(all.map(({ instance }) => instance)).size !== all.length) broken.push(`approval ${id} ended twice: ${all.map(({ seq, body }) => `${seq} ${body}`).join(', ')}`)
    const verdict = decided.get(id)
    if (verdict === undefined) continue
    const last = all.at(-1)
    if (last?.name !== 'sallyport.approval.decided' || last.attributes['sallyport.approval.verdict'] !== verdict) broken.push(`approval ${id}: a reviewer was told ${verdict}, and the journal ends with ${last?.name}`)
  }
  for (const id of decided.keys()) if (!ends.has(id)) broken.push(`approval ${id}: a reviewer was told that it is decided, and the journal knows nothing of it`)
  return broken
}

/** Nothing through but by policy or by a grant that allows this session this host. */
function checkGrants(records: readonly JournalRecord[]): string[] {
  const broken: string[] = []
  const grants = new Map<string, JournalRecord>()
  const over = new Set<string>()
  for (const record of records) {
    if (record.name === 'sallyport.grant.created') grants.set(text(record, 'sallyport.grant.id'), record)
    // a revocation is journaled before it takes effect, and closes what went through meanwhile
    if (record.name === 'sallyport.grant.expired') over.add(text(record, 'sallyport.grant.id'))
    if (record.name !== 'sallyport.decision' || record.attributes['network.policy.decision'] !== 'allow') continue
    const [session, host] = [text(record, 'session.id'), text(record, 'server.address')]
    const id = text(record, 'sallyport.grant.id')
    if (id === 'undefined') {
      if (record.attributes['security_rule.name'] !== 'opened') broken.push(`record ${record.seq} allows ${host} by neither a grant nor the rule that opens it`)
      continue
    }
    const grant = grants.get(id)
    if (grant === undefined) broken.push(`record ${record.seq} allows ${host} by grant ${id}, which nobody made`)
    else if (grant.attributes['sallyport.grant.verdict'] !== 'allow') broken.push(`record ${record.seq} allows ${host} by a refusal`)
    else if (text(grant, 'session.id') !== session) broken.push(`record ${record.seq}: session ${session} went through by a grant of ${text(grant, 'session.id')}`)
    else if (host !== text(grant, 'server.address') && !(grant.attributes['sallyport.grant.subdomains'] === true && host.endsWith(`.${text(grant, 'server.address')}`))) broken.push(`record ${record.seq}: a grant for ${text(grant, 'server.address')} let ${host} through`)
    if (over.has(id) && record.attributes['sallyport.stage'] === 'policy') broken.push(`record ${record.seq} allows ${host} by grant ${id}, which had ended`)
  }
  return broken
}

/** What reached an origin was allowed first, and whoever heard of a refusal was not served. */
function checkDials(records: readonly JournalRecord[], { heard, targets, tunnels, tunnelPort }: Seen): string[] {
  const broken: string[] = []
  const allowed = records.filter(({ name, attributes }) => name === 'sallyport.decision' && attributes['network.policy.decision'] === 'allow')
  const paths = new Set(allowed.map(({ attributes }) => attributes['url.path']))
  for (const target of targets) if (!paths.has(target)) broken.push(`${target} reached the origin without an allow in the journal`)
  if (new Set(targets).size !== targets.length) broken.push('a request reached the origin twice')
  const tunnelAllows = allowed.filter(({ attributes }) => attributes['server.port'] === tunnelPort).length
  if (tunnels > tunnelAllows) broken.push(`${tunnels} tunnels reached the origin, and the journal allows ${tunnelAllows}`)
  const reached = new Set(targets)
  for (const { number, isTunnel, status, host } of heard) {
    if (isTunnel) continue
    if (status === 200 && !reached.has(`/r/${number}`)) broken.push(`request ${number} was answered, and no origin heard of it`)
    if (status === 403 && reached.has(`/r/${number}`)) broken.push(`request ${number} for ${host} was refused and reached the origin all the same`)
  }
  const opened = heard.filter(({ isTunnel, status }) => isTunnel && status === 200).length
  if (opened > tunnels) broken.push(`${opened} tunnels were opened, and the origin heard of ${tunnels}`)
  return broken
}

/** What a client heard is what was decided of its request last; one that heard nothing was closed for a reason. */
function checkHeard(records: readonly JournalRecord[], { heard }: Seen): string[] {
  const broken: string[] = []
  const last = new Map<string, JournalRecord>()
  const outcomes = new Map<string, unknown>()
  const trail = new Map<string, string[]>()
  for (const record of records) {
    const agent = text(record, 'user_agent.original')
    trail.set(agent, [...(trail.get(agent) ?? []), `${record.seq} ${record.body}`])
    if (record.name === 'sallyport.decision') last.set(agent, record)
    if (record.name === 'sallyport.exchange.ended') outcomes.set(text(record, 'sallyport.request.id'), record.attributes['sallyport.outcome'])
  }
  for (const { number, host, session, status, isCut } of heard) {
    const decision = last.get(`racer/${number}`)
    const journaled = trail.get(`racer/${number}`)?.join('; ') ?? 'nothing is journaled'
    const outcome = decision === undefined ? undefined : outcomes.get(text(decision, 'sallyport.request.id'))
    if (isCut && outcome !== 'expired') broken.push(`request ${number} for ${host} was cut, and nothing says why: ${journaled}; ${String(outcome)}`)
    if (status === undefined) continue
    const isAllowed = decision?.attributes['network.policy.decision'] === 'allow'
    if (decision === undefined) broken.push(`request ${number} for ${host} was answered ${status}, and no decision of it is in the journal`)
    else if (text(decision, 'session.id') !== session) broken.push(`request ${number} is journaled as that of ${text(decision, 'session.id')}`)
    else if ((status === 403) === isAllowed) broken.push(`request ${number} for ${host} was answered ${status}: ${journaled}`)
  }
  return broken
}
