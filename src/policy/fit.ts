// Whether a hit's rule speaks of this very request: its port, method, upgrade and path, and its terms.
import type { Facts } from './facts.ts'
import type { Hit } from './hits.ts'
import { matchPath } from './path-pattern.ts'
import type { Ports } from './policy.ts'
import { isDefaultPort } from './ports.ts'
import { Inside, missedTerm, misses } from './terms.ts'
import type { Miss } from './terms.ts'

/** Whether the hit's ports cover the port of the facts. */
export function covers(ports: Ports, facts: Facts): boolean {
  if (ports === 'every') return true
  if (ports === 'default') return isDefaultPort(facts.stage, facts.scheme, facts.port)
  return ports.some(({ first, last }) => facts.port >= first && facts.port <= last)
}

/**
 * Why a request-level rule does not match the request; undefined when it does. Content is looked at last, so that a
 * miss of it means that nothing else was missed. `inside` is of these facts, made once for all rules.
 */
export function mismatch(hit: Hit, facts: Facts, segments: readonly string[], inside: Inside | undefined): Miss | undefined {
  const { rule } = hit
  const { methods, paths, upgrades, verdict } = rule
  const method = facts.method ?? ''
  if (facts.upgrade !== undefined && upgrades?.includes(facts.upgrade) !== true) {
    // an upgrade is an action of its own, which an allowed GET never implies; a denied one does
    if (verdict !== 'deny' || (upgrades !== undefined && methods === undefined)) return misses.upgrade
    if (methods?.includes(method) === false) return misses.method
  }
  if (facts.upgrade === undefined) {
    if (methods === undefined && upgrades !== undefined) return misses.upgrade
    if (methods?.includes(method) === false) return misses.method
  }
  if (paths !== undefined && !paths.some((path) => matchPath(path, segments))) return misses.path
  return rule.terms === undefined ? undefined : missedTerm(rule, rule.terms, inside ?? new Inside(facts))
}
