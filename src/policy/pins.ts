// Pins: fields set on every request to some hosts by whoever allows them, such as the tenants that a vendor lets in. A
// pin opens nothing and closes nothing; where one stands, requests have to be seen, so tunnels are looked into.
import type { Facts } from './facts.ts'
import { matchPath } from './path-pattern.ts'
import { patternsFor } from './pattern-index.ts'
import type { Pin, Policy } from './policy.ts'

/** Whether requests to the host have to be seen for a pin's sake. */
export function isPinned(policy: Policy, { host }: Pick<Facts, 'host'>): boolean {
  return policy.pins.length > 0 && patternsFor(policy.pinIndex, host).length > 0
}

/** Whether the path of requests to the host decides which pins they get, and so must not be ambiguous. */
export function pinsPaths(policy: Policy, { host }: Pick<Facts, 'host'>): boolean {
  return policy.pins.length > 0 && hostPins(policy, host).some(({ paths }) => paths !== undefined)
}

/** The pins of this request. */
export function pinsFor(policy: Policy, { host, method }: Facts, segments: readonly string[]): readonly Pin[] {
  if (policy.pins.length === 0) return []
  return hostPins(policy, host).filter(
    ({ methods, paths }) => methods?.includes(method ?? '') !== false && (paths === undefined || paths.some((path) => matchPath(path, segments))),
  )
}

function hostPins(policy: Policy, host: Facts['host']): readonly Pin[] {
  const at = new Set(patternsFor(policy.pinIndex, host).map((index) => policy.pinIndex.patterns[index]?.rule ?? -1))
  return [...at].flatMap((index) => policy.pins[index] ?? [])
}
