// What a name resolved to, judged: one address that may not be dialled refuses the whole set. It never
// unwraps a translated address, and nothing but a rule that names it opens a metadata address.
import { cidrContains, classifyAddress } from '../target/address.ts'
import type { AddressClass, IpAddress } from '../target/address.ts'
import type { Decision, RuleRef } from './decision.ts'
import type { Facts } from './facts.ts'
import { addressDeny, refOf } from './hits.ts'
import type { Policy } from './policy.ts'
import { isReserved } from './reserved.ts'

/** What the proxy knows of itself. */
export interface Surroundings {
  /** ports of all our listeners */
  readonly ownPorts: readonly number[]
  /** addresses our listeners are bound to, and those of this machine's interfaces */
  readonly ownAddresses: readonly IpAddress[]
  /** every listener is on loopback */
  readonly onlyLoopback: boolean
  /** where the names of the collector and the parent proxy lead: closed by any other name too */
  readonly reserved?: readonly { readonly address: IpAddress; readonly port: number }[]
}

export type AddressVerdict =
  | { readonly ok: true }
  | {
      readonly ok: false
      readonly code: 'ip_denied' | 'dns_mixed' | 'self'
      /** one sentence, safe to show an agent */
      readonly reason: string
      readonly rule: RuleRef | undefined
      /** the address that refused the set */
      readonly address: string
    }

interface Fault {
  readonly self: boolean
  readonly reason: string
  readonly rule: RuleRef | undefined
}

const classWords: Readonly<Record<AddressClass, string>> = {
  public: 'a public address',
  loopback: 'an address of this machine (loopback)',
  private: 'a private address',
  link_local: 'a link-local address',
  metadata: 'an address of a cloud metadata service',
  translated: 'a translated form of another address',
  reserved: 'a reserved address',
  multicast: 'a multicast address',
  unspecified: 'the unspecified address',
}

/** Judges the addresses of an allowed exchange, monitor mode or not. An empty set is refused. */
export function judgeAddresses(
  policy: Policy,
  facts: Facts,
  decision: Decision,
  addresses: readonly IpAddress[],
  surroundings: Surroundings,
): AddressVerdict {
  let worst: { readonly fault: Fault; readonly address: string } | undefined
  let fine = 0
  for (const address of addresses) {
    const fault = faultOf(policy, facts, decision, address, surroundings)
    if (fault === undefined) fine++
    else if (worst === undefined || (fault.self && !worst.fault.self)) worst = { fault, address: address.text }
  }
  if (worst === undefined) {
    if (fine > 0) return { ok: true }
    return { ok: false, code: 'ip_denied', reason: `${facts.host.text} has no address`, rule: undefined, address: '' }
  }
  const { fault, address } = worst
  const code = fault.self ? 'self' : fine > 0 ? 'dns_mixed' : 'ip_denied'
  return { ok: false, code, reason: fault.reason, rule: fault.rule, address }
}

function faultOf(policy: Policy, facts: Facts, decision: Decision, ip: IpAddress, surroundings: Surroundings): Fault | undefined {
  const kind = classifyAddress(ip)
  if (isOwn(kind, ip, facts.port, surroundings)) {
    return { self: true, reason: `${resolvedText(facts, ip)} is the proxy itself with port ${facts.port}`, rule: undefined }
  }
  if (decision.rule?.id !== 'agent_telemetry' && (isReserved(policy, { kind: 'ip', text: ip.text, ip }, facts.port) || leadsToReserved(ip, facts.port, surroundings))) {
    return { self: false, reason: `${resolvedText(facts, ip)} is where the proxy itself reports to`, rule: undefined }
  }
  const denied = addressDeny(policy, ip, facts.principal)
  if (denied !== undefined) return { self: false, reason: `${resolvedText(facts, ip)} is on the denied list`, rule: refOf(denied) }
  if (kind === 'public' || isOpened(policy, decision, ip, kind, surroundings)) return undefined
  return { self: false, reason: `${resolvedText(facts, ip)} is ${classWords[kind]}, and no rule opens it`, rule: undefined }
}

function resolvedText({ host }: Facts, { text }: IpAddress): string {
  return host.text === text ? text : `${host.text} resolves to ${text}, which`
}

/** Any address of this machine or its networks may lead back to our ports; a public one only if it is ours. */
function isOwn(kind: AddressClass, ip: IpAddress, port: number, { ownPorts, ownAddresses }: Surroundings): boolean {
  if (!ownPorts.includes(port)) return false
  return kind !== 'public' || ownAddresses.some((own) => own.family === ip.family && own.bits === ip.bits)
}

function leadsToReserved(ip: IpAddress, port: number, { reserved = [] }: Surroundings): boolean {
  return reserved.some(({ address, port: own }) => own === port && address.family === ip.family && address.bits === ip.bits)
}

function isOpened(policy: Policy, decision: Decision, ip: IpAddress, kind: AddressClass, surroundings: Surroundings): boolean {
  switch (kind) {
    case 'translated':
    case 'multicast':
    case 'unspecified':
      return false
    case 'metadata':
      return decision.obligations.local.some((cidr) => isSingle(cidr) && cidrContains(cidr, ip))
    case 'reserved':
      return decision.obligations.local.some((cidr) => cidrContains(cidr, ip))
    default:
      if (policy.allowLocalBinding && surroundings.onlyLoopback) return true
      return decision.obligations.local.some((cidr) => cidrContains(cidr, ip))
  }
}

function isSingle({ family, prefix }: { readonly family: 4 | 6; readonly prefix: number }): boolean {
  return prefix === (family === 4 ? 32 : 128)
}
