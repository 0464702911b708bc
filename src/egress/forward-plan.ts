// How an admitted request to a judged destination is forwarded: everything comes from what was decided.
import type { Admitted } from '../gate/admitted.ts'
import { Vetted } from '../gate/admitted.ts'
import { defaultPortOf, formatAuthority } from '../target/authority.ts'
import { formatTarget, type TargetUri } from '../target/target-uri.ts'
import type { ForwardPlan } from './forward.ts'
import type { Destination, Reach } from './reach.ts'

export function planOf({ exchange, decision }: Admitted, target: TargetUri, destination: Destination, reach: Reach): ForwardPlan {
  const { principal, host, port, method } = exchange.facts
  const { originTrust, fieldChanges, maxContent } = decision.obligations
  return {
    method: method ?? '',
    path: formatTarget(target),
    authority: formatAuthority(target.authority, defaultPortOf(target.scheme)),
    pool: { session: principal.session, host: host.text, port, addresses: addressTexts(destination), revision: decision.revision },
    connect: (options) => reach.connect(destination, options),
    tls: target.scheme === 'https' ? { trust: originTrust } : undefined,
    fieldChanges,
    maxContent,
  }
}

function addressTexts(destination: Destination): readonly string[] {
  return destination instanceof Vetted ? destination.addresses.map((ip) => ip.text) : ['parent']
}
