// Host patterns of rules, laid out for lookup: a host costs its labels, not the number of rules.
// Also the one place that finds all patterns that cover a host.
import type { IpAddress } from '../target/address.ts'
import type { Host } from '../target/host.ts'
import { literalTail, matchGlob } from './glob.ts'
import { isWildcard } from './pattern.ts'
import type { Scope } from './pattern.ts'
import type { AddressTable, GlobEntry, IndexedPattern, PatternIndex } from './policy.ts'

/** Collects patterns and yields the index. */
export class PatternIndexBuilder {
  readonly #patterns: IndexedPattern[] = []
  readonly #exact = new Map<string, number[]>()
  readonly #below = new Map<string, number[]>()
  readonly #globs = new Map<string, GlobEntry[]>()
  readonly #any: number[] = []
  readonly #addresses = new Map<string, { family: 4 | 6; prefix: number; byBits: Map<bigint, number[]> }>()

  add(scope: Scope, pattern: Pick<IndexedPattern, 'rule' | 'text' | 'line' | 'ports'>): void {
    const { rule, text, line, ports } = pattern
    const at = this.#patterns.push({ rule, text, line, ports, wildcard: isWildcard(scope), any: scope.kind === 'any' }) - 1
    switch (scope.kind) {
      case 'exact':
        push(this.#exact, scope.name, at)
        break
      case 'below':
        push(this.#below, scope.name, at)
        break
      case 'apex_and_below':
        push(this.#exact, scope.name, at)
        push(this.#below, scope.name, at)
        break
      case 'glob':
        for (const glob of scope.globs) push(this.#globs, literalTail(glob), { glob, pattern: at })
        break
      case 'any':
        this.#any.push(at)
        break
      case 'address':
        this.#addAddress(scope, at)
    }
  }

  finish(): PatternIndex {
    return {
      patterns: this.#patterns,
      exact: this.#exact,
      below: this.#below,
      globs: this.#globs,
      any: this.#any,
      addresses: [...this.#addresses.values()],
    }
  }

  #addAddress({ cidr }: Extract<Scope, { kind: 'address' }>, at: number): void {
    const key = `${cidr.family}/${cidr.prefix}`
    let table = this.#addresses.get(key)
    if (table === undefined) {
      table = { family: cidr.family, prefix: cidr.prefix, byBits: new Map() }
      this.#addresses.set(key, table)
    }
    push(table.byBits, shifted(cidr.bits, table), at)
  }
}

/** Every pattern that covers the host, as indices into `index.patterns`; ports are not looked at. */
export function patternsFor(index: PatternIndex, host: Host): readonly number[] {
  return host.kind === 'ip' ? patternsForAddress(index, host.ip) : patternsForName(index, host.text)
}

/** Every address pattern that covers the address. */
export function patternsForAddress(index: PatternIndex, ip: IpAddress): readonly number[] {
  const found: number[] = []
  for (const table of index.addresses) {
    if (table.family !== ip.family) continue
    const hits = table.byBits.get(shifted(ip.bits, table))
    if (hits !== undefined) found.push(...hits)
  }
  return found
}

/** Every name pattern that covers the canonical name; most specific first, `*` last. */
export function patternsForName(index: PatternIndex, name: string): readonly number[] {
  const found: number[] = []
  const exact = index.exact.get(name)
  if (exact !== undefined) found.push(...exact)
  if (index.below.size > 0 || index.globs.size > 0) {
    for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) {
      const tail = name.slice(dot + 1)
      const below = index.below.get(tail)
      if (below !== undefined) found.push(...below)
      collectGlobs(index.globs.get(tail), name, found)
    }
    collectGlobs(index.globs.get(''), name, found)
  }
  if (index.any.length > 0) found.push(...index.any)
  return found
}

function collectGlobs(entries: readonly GlobEntry[] | undefined, name: string, found: number[]): void {
  if (entries === undefined) return
  for (const { glob, pattern } of entries) {
    // `**.` with a wildcard after it stands under two globs
    if (matchGlob(glob, name) && !found.includes(pattern)) found.push(pattern)
  }
}

function shifted(bits: bigint, table: Pick<AddressTable, 'family' | 'prefix'>): bigint {
  return bits >> BigInt((table.family === 4 ? 32 : 128) - table.prefix)
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [value])
  else list.push(value)
}
