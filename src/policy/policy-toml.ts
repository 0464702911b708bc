// Reads a policy file's TOML. Its host lists may hold a million names; those are kept as places in the text.
// What it yields is what the parser alone would: where that is not certain, the parser reads it all.
import { findCuts, shorten } from './long-lists.ts'
import type { LongList } from './long-lists.ts'
import { parseToml } from './toml.ts'
import type { TomlFault, TomlTable, TomlValue } from './toml.ts'

/** A policy file's table, with its longest lists apart. */
export interface PolicyToml {
  readonly table: TomlTable
  /** by the arrays, empty, that stand for them in the table */
  readonly longLists: ReadonlyMap<TomlValue, LongList>
}

/** Lists of fewer names are not worth a way of their own. */
const longListLength = 10_000

/** As `parseToml`, but a host list of `longLength` or more plain names is not made into strings. */
export function parsePolicyToml(text: string, longLength = longListLength): PolicyToml | { readonly fault: TomlFault } {
  const shortened = shorten(text, longLength)
  if (shortened !== undefined) {
    const parsed = parseToml(shortened.text)
    const longLists = 'fault' in parsed ? undefined : findCuts(parsed.table, shortened.cuts)
    // a fault is told by the parser of the whole text, with its true place
    if (!('fault' in parsed) && longLists !== undefined) return { table: parsed.table, longLists }
  }
  const parsed = parseToml(text)
  return 'fault' in parsed ? parsed : { table: parsed.table, longLists: new Map() }
}
