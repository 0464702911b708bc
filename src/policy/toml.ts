// The one TOML reader: text to plain data, or the line and column of what is wrong. It never guesses.
import { parse, TomlError } from 'smol-toml'
import type { TomlTableWithoutBigInt, TomlValueWithoutBigInt } from 'smol-toml'

export type TomlValue = TomlValueWithoutBigInt
export type TomlTable = TomlTableWithoutBigInt

export interface TomlFault {
  /** 1-based */
  readonly line: number
  readonly column: number
  readonly message: string
  /** the line as written, at most 100 characters */
  readonly text: string
}

const maxDepth = 64

/** Parses TOML 1.0 and 1.1. Never throws: a text that is not TOML yields its first fault. */
export function parseToml(text: string): { readonly table: TomlTable } | { readonly fault: TomlFault } {
  try {
    return { table: parse(text, { maxDepth }) }
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const [first = ''] = error.message.split('\n', 1)
    const line = text.split('\n', error.line)[error.line - 1] ?? ''
    // a string without its closing quote runs into the end of the line, which is a control character
    const open = /control characters/.test(first) && error.column > line.trimEnd().length ? ' (is the string closed?)' : ''
    const message = `not valid TOML: ${first.replace(/^Invalid TOML document: /, '')}${open}`
    return { fault: { line: error.line, column: error.column, message, text: line.trim().slice(0, 100) } }
  }
}

/** A table, not an array, not a date. */
export function isTable(value: TomlValue | undefined): value is TomlTable {
  return typeof value === 'object' && !Array.isArray(value) && !(value instanceof Date)
}

/** What a value is, in TOML's words. */
export function typeName(value: TomlValue): string {
  if (Array.isArray(value)) return 'an array'
  if (value instanceof Date) return 'a date'
  if (typeof value === 'object') return 'a table'
  if (typeof value === 'number') return Number.isInteger(value) ? 'an integer' : 'a float'
  return typeof value === 'boolean' ? 'a boolean' : 'a string'
}
