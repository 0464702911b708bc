// The faults that ruled out an existing intercepting proxy, as attacks on this one: tried against a whole proxy
// in a process of its own. `node bench/attacks.ts` tries them against the other one beside it.
import { networkInterfaces, platform } from 'node:os'
import t from 'tap'
import { startWorld, type Attack } from '../support/attacks/attack.ts'
import { machineAttacks } from '../support/attacks/machine-attacks.ts'
import { trafficAttacks } from '../support/attacks/traffic-attacks.ts'

/** an answer that does not come at all fails a test by this */
const patienceMs = 20_000
const hasIpv6 = Object.values(networkInterfaces()).flat().some((entry) => entry?.address === '::1')

function skip({ tried }: Attack): string | false {
  if (platform() !== 'linux') return 'no /proc here'
  return tried.includes('[::1]') && !hasIpv6 ? 'no IPv6 loopback here' : false
}

const world = await startWorld(t, 'sallyport', patienceMs)

for (const attack of [...trafficAttacks, ...machineAttacks]) {
  t.test(attack.name, { skip: skip(attack) }, async (t) => {
    const { held, seen } = await attack.run(world)
    t.ok(held, seen)
  })
}
