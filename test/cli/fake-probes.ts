// A network of a test's own making: what is named is reached, everything else is silent.
import type { HttpAnswer, ProbeOutcome, Probes } from '../../src/cli/doctor-probes.ts'
import { formatHostPort } from '../../src/config/load-rules.ts'

export interface FakeNetwork {
  /** `host:port` that accept a TCP connection */
  readonly tcp?: readonly string[]
  /** paths that accept a connection */
  readonly socket?: readonly string[]
  readonly dnsUdp?: readonly string[]
  readonly dnsTcp?: readonly string[]
  readonly pages?: Readonly<Record<string, string>>
  readonly connect?: HttpAnswer
}

export interface FakeProbes extends Probes {
  readonly asked: string[]
}

export function fakeProbes(network: FakeNetwork = {}): FakeProbes {
  const asked: string[] = []
  const answer = async (kind: 'tcp' | 'socket' | 'dnsUdp' | 'dnsTcp', target: string): Promise<ProbeOutcome> => {
    asked.push(`${kind} ${target}`)
    return network[kind]?.includes(target) ? { kind: 'reached' } : { kind: 'blocked', reason: 'no answer' }
  }
  return {
    asked,
    tcp: (target) => answer('tcp', formatHostPort(target)),
    socket: (path) => answer('socket', path),
    dnsUdp: (server) => answer('dnsUdp', server),
    dnsTcp: (server) => answer('dnsTcp', server),
    get: async (target) => {
      const body = network.pages?.[formatHostPort(target)]
      return body === undefined ? undefined : { status: 200, reason: 'OK', body }
    },
    connectThrough: async (proxy, authority, credentials) => {
      asked.push(`connect ${formatHostPort(proxy)} ${authority} ${credentials ?? '-'}`)
      return network.connect
    },
  }
}
