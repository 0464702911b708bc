// The kinds of value a setting can have: how each is read from text (flag, variable) and from TOML,
// and what it is called in the documentation. Pure; a wrong value throws SettingError.
import { resolve } from 'node:path'
import { ProxyError } from '../errors.ts'
import { isTable, type TomlValue, typeName } from '../policy/toml.ts'
import { type Cidr, parseCidr, parseIp } from '../target/address.ts'
import { isToken } from '../target/field-syntax.ts'
import { formatHost, parseHost } from '../target/host.ts'
import type { HostPort } from './settings.ts'

/** The message goes after the name of the setting: `limits.drain: ...`. */
export class SettingError extends Error {
  override readonly name = 'SettingError'
}

export interface Kind<T> {
  /** what it is called in the documentation */
  readonly name: string
  /** stands for the value in `--help` */
  readonly placeholder: string
  fromText(text: string): T
  fromToml(value: TomlValue): T
  /** a path or several, which are taken relative to where they were written */
  readonly isPath?: true
}

/** What was read, paths made absolute. */
export function placed(kind: Kind<unknown>, value: unknown, folder: string): unknown {
  if (kind.isPath !== true) return value
  return Array.isArray(value) ? value.map((each) => resolve(folder, String(each))) : resolve(folder, String(value))
}

/** A kind whose TOML value is the same string that a flag would take. */
function textKind<T>(name: string, placeholder: string, fromText: (text: string) => T): Kind<T> {
  return {
    name,
    placeholder,
    fromText,
    fromToml: (value) => {
      if (typeof value !== 'string') throw new SettingError(`wants a string, got ${typeName(value)}`)
      return fromText(value)
    },
  }
}

function nonEmpty(text: string): string {
  if (text === '') throw new SettingError('may not be empty')
  if (/\p{Cc}/u.test(text)) throw new SettingError('may not contain control characters')
  return text
}

export const text: Kind<string> = textKind('string', 'TEXT', nonEmpty)
export const path: Kind<string> = { ...textKind('path', 'PATH', nonEmpty), isPath: true }
export const url: Kind<string> = textKind('URL', 'URL', (value) => {
  const parsed = URL.parse(value)
  if (parsed === null || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')) {
    throw new SettingError(`\`${withoutUserinfo(value)}\` is not a URL of http or https`)
  }
  if (parsed.hash !== '') throw new SettingError('may not have a fragment')
  return value
})

/** A URL that is itself a secret: no message repeats it. */
export const secretUrl: Kind<string> = textKind('URL', 'URL', (value) => {
  if (!/^https?:$/.test(URL.parse(value)?.protocol ?? '')) throw new SettingError('is not a URL of http or https')
  return url.fromText(value)
})

function withoutUserinfo(value: string): string {
  return value.replace(/\/\/[^/]*@/, '//***@')
}

export function choice<const T extends string>(words: readonly T[]): Kind<T> {
  return textKind(words.map((word) => `\`${word}\``).join(', '), words.join('|'), (value) => {
    const found = words.find((word) => word === value)
    if (found === undefined) {
      throw new SettingError(`\`${value}\` is not one of ${words.join(', ')}`)
    }
    return found
  })
}

export const bool: Kind<boolean> = {
  name: 'true or false',
  placeholder: 'true|false',
  fromText: (value) => {
    if (/^(true|1|yes|on)$/i.test(value)) return true
    if (/^(false|0|no|off)$/i.test(value)) return false
    throw new SettingError(`\`${value}\` is neither true nor false`)
  },
  fromToml: (value) => {
    if (typeof value !== 'boolean') {
      throw new SettingError(`wants true or false, got ${typeName(value)}`)
    }
    return value
  },
}

interface Range {
  readonly min: number
  readonly max: number
}

export function count(range: Range): Kind<number> {
  const check = (value: number) => {
    if (!Number.isSafeInteger(value) || value < range.min || value > range.max) {
      throw new SettingError(`wants a whole number from ${range.min} to ${range.max}`)
    }
    return value
  }
  return {
    name: 'number',
    placeholder: 'N',
    fromText: (value) => check(/^\d{1,15}$/.test(value) ? Number(value) : Number.NaN),
    fromToml: (value) => check(typeof value === 'number' ? value : Number.NaN),
  }
}

const durationUnits: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}
const sizeUnits: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
}

/** `30s`, `5 min`; `ms`. A bare number is refused: it would have to be guessed. */
export function duration(range: { readonly min: string; readonly max: string }): Kind<number> {
  const limits = { min: readDuration(range.min) ?? 0, max: readDuration(range.max) ?? 0 }
  return textKind('duration', 'DURATION', (value) => {
    const ms = readDuration(value)
    if (ms === undefined) {
      throw new SettingError(
        `\`${value}\` is not a duration: a number and ms, s, min, h or d, as in \`30 s\``,
      )
    }
    if (ms < limits.min || ms > limits.max) {
      throw new SettingError(`\`${value}\` is not between ${range.min} and ${range.max}`)
    }
    return ms
  })
}

/** A duration, or the word that stands for a choice of the proxy's own. */
export function durationOr<const Word extends string>(word: Word, range: { readonly min: string; readonly max: string }): Kind<number | Word> {
  const kind = duration(range)
  return textKind(`duration or \`${word}\``, `DURATION|${word}`, (value) => (value === word ? word : kind.fromText(value)))
}

/** `16 KiB`, `10 GB`, or a whole number of bytes. */
export function bytes(range: { readonly min: string; readonly max: string }): Kind<number> {
  const limits = { min: readSize(range.min) ?? 0, max: readSize(range.max) ?? 0 }
  const fromText = (value: string) => {
    const size = /^\d{1,15}$/.test(value) ? Number(value) : readSize(value)
    if (size === undefined) {
      throw new SettingError(
        `\`${value}\` is not a size: a number and B, KiB, MiB, GiB or TiB, as in \`16 KiB\``,
      )
    }
    if (size < limits.min || size > limits.max) {
      throw new SettingError(`\`${value}\` is not between ${range.min} and ${range.max}`)
    }
    return size
  }
  const kind = textKind('size', 'SIZE', fromText)
  return {
    ...kind,
    fromToml: (value) =>
      typeof value === 'number' ? fromText(String(value)) : kind.fromToml(value),
  }
}

function readDuration(value: string): number | undefined {
  return measure(value, durationUnits)
}

function readSize(value: string): number | undefined {
  return measure(value, sizeUnits)
}

function measure(value: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d{1,12}(?:\.\d{1,6})?) ?([A-Za-z]{1,3})$/.exec(value)
  const [, amount = '', unit = ''] = match ?? []
  const factor = Object.hasOwn(units, unit) ? units[unit] : undefined
  return factor === undefined ? undefined : Math.round(Number(amount) * factor)
}

/** Comma-separated in text, an array of strings in TOML. */
export function list<T>(name: string, placeholder: string, item: (text: string) => T): Kind<readonly T[]> {
  return {
    name,
    placeholder,
    fromText: (value) =>
      value
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== '')
        .map(item),
    fromToml: (value) => {
      if (!Array.isArray(value)) {
        throw new SettingError(`wants an array of strings, got ${typeName(value)}`)
      }
      return value.map((entry: TomlValue) => {
        if (typeof entry !== 'string') {
          throw new SettingError(`wants an array of strings, and one entry is ${typeName(entry)}`)
        }
        return item(entry)
      })
    },
  }
}

export const paths: Kind<readonly string[]> = { ...list('list of paths', 'PATH,...', nonEmpty), isPath: true }

export const cidrs: Kind<readonly Cidr[]> = list('list of CIDR', 'CIDR,...', (entry) => {
  const cidr = parseCidr(entry)
  if (cidr === undefined) {
    throw new SettingError(`\`${entry}\` is neither an address nor a CIDR without host bits`)
  }
  return cidr
})

/** Names and addresses without a port, in their only spelling; IPv6 in brackets. */
export const hosts: Kind<readonly string[]> = list('list of hosts', 'HOST,...', (entry) => {
  try {
    return formatHost(parseHost(entry))
  } catch (error) {
    if (error instanceof ProxyError) throw new SettingError(`\`${entry}\` is not a host name or an address without a port`)
    throw error
  }
})

/** `ip`, `ip:port`, `[v6]:port`: a name server is never a name. */
export const nameServers: Kind<readonly string[]> = list('list of IP[:PORT]', 'IP,...', (entry) => {
  if (parseIp(entry) !== undefined) return entry
  const { host, port } = splitHostPort(entry)
  if (parseIp(host) === undefined) throw new SettingError(`\`${entry}\` is not IP or IP:PORT`)
  if (port === 0) throw new SettingError(`\`${entry}\` has no usable port`)
  return entry
})

export const listener: Kind<HostPort> = textKind('HOST:PORT', 'HOST:PORT', readListener)
export const listenerOrOff: Kind<HostPort | 'off'> = textKind(
  'HOST:PORT or `off`',
  'HOST:PORT|off',
  (value) => (value === 'off' ? 'off' : readListener(value)),
)

function readListener(value: string): HostPort {
  const { host, port } = splitHostPort(value)
  // a name could stand for any address, so whether it is loopback could not be judged
  if (host === 'localhost') return { host: '127.0.0.1', port }
  const ip = parseIp(host)
  if (ip === undefined) throw new SettingError(`\`${host}\` is not an IP address or localhost`)
  return { host: ip.text, port }
}

function splitHostPort(value: string): HostPort {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(value)
  const [, bracketed, plain, digits = ''] = match ?? []
  const host = bracketed ?? plain
  if (host === undefined) {
    throw new SettingError(`\`${value}\` is not HOST:PORT, as in \`127.0.0.1:3128\` or \`[::1]:3128\``)
  }
  if (bracketed !== undefined && !bracketed.includes(':')) {
    throw new SettingError(`\`${value}\`: brackets are for IPv6 addresses`)
  }
  const port = Number(digits)
  if (port > 65_535) throw new SettingError(`\`${value}\` has a port above 65535`)
  return { host, port }
}

/** `name=value,...` in text, a table of strings in TOML. Field names are checked, values kept out of messages. */
export const fields: Kind<Readonly<Record<string, string>>> = {
  name: 'table of strings',
  placeholder: 'NAME=VALUE,...',
  fromText: (value) => {
    const parts = value.split(',').filter((part) => part.trim() !== '')
    return readFields(
      parts.map((part) => {
        const at = part.indexOf('=')
        if (at < 1) throw new SettingError('wants NAME=VALUE, and one entry has no name or no `=`')
        return [part.slice(0, at).trim(), part.slice(at + 1).trim()] as const
      }),
    )
  },
  fromToml: (value) => {
    if (!isTable(value)) {
      throw new SettingError(`wants a table of strings, got ${typeName(value)}`)
    }
    return readFields(Object.entries(value))
  },
}

function readFields(entries: Iterable<readonly [string, unknown]>): Record<string, string> {
  const result: Record<string, string> = Object.create(null)
  for (const [name, value] of entries) {
    if (!isToken(name)) {
      throw new SettingError(`\`${name}\` is not a field name`)
    }
    if (typeof value !== 'string' || !/^[\x20-\x7e\t]*$/.test(value)) {
      throw new SettingError(`the value of \`${name}\` is not a string of printable ASCII`)
    }
    result[name.toLowerCase()] = value
  }
  return result
}
