// Tests of the dialler need vetted addresses without a whole gate in front of them.
import { ParentTarget, Vetted } from '../../src/gate/admitted.ts'
import { seal } from '../../src/gate/seal.ts'
import type { IpAddress } from '../../src/target/address.ts'
import type { Host } from '../../src/target/host.ts'

export function vettedForTest(host: Host, port: number, addresses: readonly IpAddress[]): Vetted {
  return Vetted.make(seal, host, port, addresses)
}

export function parentTargetForTest(host: Host, port: number): ParentTarget {
  return ParentTarget.make(seal, host, port)
}
