// Host patterns: how they are written and what they mean. Hosts in patterns go through the parser that
// reads hosts of requests; what cannot be read is an error, never a pattern that matches nothing.
import { ProxyError } from '../errors.ts'
import { parseCidr, parseIp } from '../target/address.ts'
import type { Cidr } from '../target/address.ts'
import { parseHost } from '../target/host.ts'
import { matchGlob } from './glob.ts'
import { parsePorts } from './ports.ts'
import type { PortRange } from './ports.ts'

export type Scope =
  /** the name itself, and nothing else */
  | { readonly kind: 'exact'; readonly name: string }
  /** `*.x`: any depth below `name`, not `name` */
  | { readonly kind: 'below'; readonly name: string }
  /** `**.x`: `name` and below */
  | { readonly kind: 'apex_and_below'; readonly name: string }
  /** `*` and `?` inside labels; any of the globs */
  | { readonly kind: 'glob'; readonly globs: readonly string[] }
  /** `*`: every name, no IP literal */
  | { readonly kind: 'any' }
  /** an address or a block of them */
  | { readonly kind: 'address'; readonly cidr: Cidr }

export interface HostPattern {
  /** as written */
  readonly text: string
  readonly scope: Scope
  /** undefined: no port is written */
  readonly ports: PortRange | undefined
}

/** What is wrong with a pattern, for a message: lower case, no final stop. */
export interface BadPattern {
  readonly wrong: string
}

const maxLength = 300

/** Reads one host pattern with an optional `:port` or `:port-port`. */
export function parseHostPattern(text: string): HostPattern | BadPattern {
  if (text === '') return { wrong: 'an empty pattern' }
  if (text.length > maxLength) return { wrong: `a pattern longer than ${maxLength} characters` }
  const bad = misplacedCharacter(text)
  if (bad !== undefined) return { wrong: bad }
  const split = splitPort(text)
  if ('wrong' in split) return split
  const scope = scopeOf(split.host, split.bracketed)
  return 'wrong' in scope ? scope : { text, scope, ports: split.ports }
}

/** Whether the scope covers a name in its canonical spelling; addresses never. The index does this faster. */
export function scopeCovers(scope: Scope, name: string): boolean {
  switch (scope.kind) {
    case 'exact':
      return name === scope.name
    case 'below':
      return name.endsWith(scope.name) && name.charCodeAt(name.length - scope.name.length - 1) === 0x2e
    case 'apex_and_below':
      return name === scope.name || scopeCovers({ kind: 'below', name: scope.name }, name)
    case 'glob':
      return scope.globs.some((glob) => matchGlob(glob, name))
    default:
      return scope.kind === 'any'
  }
}

/** More than one name or address. */
export function isWildcard(scope: Scope): boolean {
  if (scope.kind === 'address') return scope.cidr.prefix < (scope.cidr.family === 4 ? 32 : 128)
  return scope.kind !== 'exact'
}

function misplacedCharacter(text: string): string | undefined {
  if (text.includes('://')) return 'a URL: write the host alone, and `methods` and `paths` in a rule'
  if (text.startsWith('!')) return 'a negation: write the host in a deny list'
  for (const character of text) {
    if (/\s/.test(character)) return 'white space'
    if ('{}()|+^$,;@#"\'`\\<>='.includes(character)) return `\`${character}\` has no meaning in a host pattern`
    if (character === '%') return 'a zone or percent-encoding'
    if (character < ' ' || character === '\x7f') return 'a control character'
  }
  if (text.includes('/') && parseCidr(blockOf(text)) === undefined) {
    return /^[\da-f.:[\]]+\//i.test(text) ? 'not a block of addresses (are host bits set?)' : 'a path: write `paths` in a rule'
  }
  return undefined
}

/** `10.0.0.0/8` of `10.0.0.0/8:443`, `fd00::/8` of `[fd00::/8]:443`. */
function blockOf(text: string): string {
  if (text.startsWith('[')) return text.slice(1, text.indexOf(']'))
  const port = text.indexOf(':', text.indexOf('/'))
  return port === -1 ? text : text.slice(0, port)
}

interface Split {
  readonly host: string
  readonly bracketed: boolean
  readonly ports: PortRange | undefined
}

function splitPort(text: string): Split | BadPattern {
  const bracketed = text.startsWith('[')
  let end = text.length
  if (bracketed) {
    end = text.indexOf(']') + 1
    if (end === 0) return { wrong: 'a bracket that is not closed' }
    if (end < text.length && text[end] !== ':') return { wrong: 'text after the closing bracket' }
  } else if (parseIp(text) === undefined && parseCidr(text) === undefined) {
    const colon = text.indexOf(':')
    if (colon !== -1) end = colon
  }
  if (end === text.length) return { host: text, bracketed, ports: undefined }
  const ports = parsePorts(text.slice(end + 1))
  if (ports === undefined) return { wrong: `\`${text.slice(end + 1)}\` is not a port (1-65535) or \`first-last\`` }
  return { host: text.slice(0, end), bracketed, ports }
}

function scopeOf(host: string, bracketed: boolean): Scope | BadPattern {
  const cidr = parseCidr(bracketed ? host.slice(1, -1) : host)
  if (bracketed) return cidr?.family === 6 ? { kind: 'address', cidr } : { wrong: 'brackets that hold no IPv6 address' }
  if (cidr !== undefined) return { kind: 'address', cidr }
  if (host.includes('[') || host.includes(']')) return { wrong: 'a bracket inside a name' }
  if (host === '*') return { kind: 'any' }
  if (host === '**') return { wrong: '`**` alone: every name is `*`' }
  const both = host.startsWith('**.')
  const below = !both && host.startsWith('*.')
  const rest = both ? host.slice(3) : below ? host.slice(2) : host
  if (rest.includes('**')) return { wrong: '`**` elsewhere than as the whole first label' }
  if (rest.includes('*') || rest.includes('?')) return globOf(rest, both, below)
  const name = nameOf(rest)
  if (typeof name !== 'string') return name
  return { kind: both ? 'apex_and_below' : below ? 'below' : 'exact', name }
}

/** The name as parseHost spells it; an IDN label is mapped by UTS 46 first, but only if that loses nothing. */
function nameOf(text: string): string | BadPattern {
  const ascii = asciiOf(text)
  if (ascii === undefined) {
    return { wrong: 'an internationalised name that has no single ASCII form: write its `xn--` form' }
  }
  try {
    const host = parseHost(ascii)
    if (host.kind === 'name') return host.text
    return { wrong: 'an address after a wildcard: a block of addresses is written `10.0.0.0/8`' }
  } catch (error) {
    if (error instanceof ProxyError) return { wrong: error.detail }
    throw error
  }
}

function asciiOf(text: string): string | undefined {
  if (isAscii(text)) return text
  // compatibility characters (a full-width letter, a ligature) would be a second spelling of another name
  if (text.normalize('NFKC').toLowerCase() !== text.normalize('NFC').toLowerCase()) return undefined
  const ascii = URL.canParse(`http://${text}/`) ? new URL(`http://${text}/`).hostname : undefined
  return ascii?.split('.').length === text.split('.').length ? ascii : undefined
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7e) return false
  return true
}

function globOf(rest: string, both: boolean, below: boolean): Scope | BadPattern {
  if (!isAscii(rest)) return { wrong: 'an internationalised label beside a wildcard: write its `xn--` form' }
  const glob = (rest.endsWith('.') ? rest.slice(0, -1) : rest).toLowerCase()
  if (/^[\d*?.]*$/.test(glob) && /\d/.test(glob)) {
    return { wrong: 'wildcards in an address: write a block such as `10.0.0.0/24`' }
  }
  for (const label of glob.split('.')) {
    if (label === '') return { wrong: 'an empty label' }
    // a wildcard stands for nothing, too, so only what is literal counts
    const literal = label.replaceAll(/[*?]/g, '')
    if (!/^[a-z\d_-]*$/.test(literal)) return { wrong: 'a character that no host has' }
    if (literal.length > 63) return { wrong: 'a label longer than 63 characters' }
    if (label.startsWith('-') || label.endsWith('-')) return { wrong: 'a label that starts or ends with a hyphen' }
  }
  if (glob.length > 253) return { wrong: 'a name longer than 253 characters' }
  if (both) return { kind: 'glob', globs: [glob, `*.${glob}`] }
  return { kind: 'glob', globs: [below ? `*.${glob}` : glob] }
}
