// IP addresses: strict parsing, one canonical text, CIDR blocks, and the class that decides whether an
// address may be dialled. It never unwraps an embedded IPv4 address into something allowed, and never
// reads a form that the system's resolver and this parser could understand differently.

/** An address; `text` is canonical: dotted quad, or RFC 5952 (IPv4-mapped in mixed notation, its section 5). */
export interface IpAddress {
  readonly family: 4 | 6
  readonly bits: bigint
  readonly text: string
}

/** A block of addresses; the bits after `prefix` are zero; `text` is canonical and always has the prefix. */
export interface Cidr {
  readonly family: 4 | 6
  readonly bits: bigint
  readonly prefix: number
  readonly text: string
}

/** What an address is good for; only `public` is reachable without a rule that says so. */
export type AddressClass =
  | 'public'
  | 'loopback'
  | 'private'
  | 'link_local'
  | 'metadata'
  | 'translated'
  | 'reserved'
  | 'multicast'
  | 'unspecified'

const dot = 0x2e
const colon = 0x3a

/**
 * Reads a dotted quad without leading zeros or any RFC 4291 section 2.2 form; no brackets, no zone.
 * Octal, hexadecimal, decimal and short IPv4 forms are `undefined`.
 */
export function parseIp(text: string): IpAddress | undefined {
  if (text.length < 2 || text.length > 45) return undefined
  if (!text.includes(':')) {
    const value = quadValue(text, 0, text.length)
    return value === undefined ? undefined : { family: 4, bits: BigInt(value), text }
  }
  const groups = groupsOf(text)
  return groups === undefined ? undefined : { family: 6, bits: bitsOf(groups), text: textOf(groups) }
}

/** Reads `address/prefix` or a bare address (/32, /128); host bits that are set make it `undefined`. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/')
  const ip = parseIp(slash === -1 ? text : text.slice(0, slash))
  if (ip === undefined) return undefined
  const width = ip.family === 4 ? 32 : 128
  const prefix = slash === -1 ? width : prefixLength(text, slash + 1)
  if (prefix === undefined || prefix > width) return undefined
  const hostBits = (1n << BigInt(width - prefix)) - 1n
  if ((ip.bits & hostBits) !== 0n) return undefined
  return { family: ip.family, bits: ip.bits, prefix, text: `${ip.text}/${prefix}` }
}

/** Whether the block holds the address; an IPv4 block never holds an IPv6 spelling of an IPv4 address. */
export function cidrContains(cidr: Cidr, ip: IpAddress): boolean {
  if (cidr.family !== ip.family) return false
  const width = cidr.family === 4 ? 32 : 128
  return (cidr.bits ^ ip.bits) >> BigInt(width - cidr.prefix) === 0n
}

function prefixLength(text: string, start: number): number | undefined {
  const digits = text.length - start
  if (digits < 1 || digits > 3 || (digits > 1 && text.charCodeAt(start) === 0x30)) return undefined
  let value = 0
  for (let i = start; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30
    if (digit < 0 || digit > 9) return undefined
    value = value * 10 + digit
  }
  return value
}

function quadValue(text: string, start: number, end: number): number | undefined {
  let value = 0
  let octet = 0
  let digits = 0
  let dots = 0
  for (let i = start; i < end; i++) {
    const code = text.charCodeAt(i)
    if (code === dot) {
      if (digits === 0 || dots === 3) return undefined
      value = value * 256 + octet
      dots++
      octet = 0
      digits = 0
      continue
    }
    const digit = code - 0x30
    // a second digit after a zero would be octal to inet_aton
    if (digit < 0 || digit > 9 || (digits > 0 && octet === 0)) return undefined
    octet = octet * 10 + digit
    digits++
    if (octet > 255) return undefined
  }
  return dots === 3 && digits > 0 ? value * 256 + octet : undefined
}

/** The eight groups of an IPv6 text. `::` stands for at least one group. */
function groupsOf(text: string): readonly number[] | undefined {
  const groups: number[] = []
  let gap = -1
  let i = 0
  if (text.startsWith('::')) {
    gap = 0
    i = 2
  }
  while (i < text.length) {
    const end = groupEnd(text, i)
    if (text.charCodeAt(end) === dot) {
      const quad = quadValue(text, i, text.length)
      if (quad === undefined) return undefined
      groups.push(quad >>> 16, quad & 0xffff)
      break
    }
    const group = groupValue(text, i, end)
    if (group === undefined) return undefined
    groups.push(group)
    if (end === text.length) break
    if (text.charCodeAt(end) !== colon) return undefined
    i = end + 1
    if (text.charCodeAt(i) === colon) {
      if (gap !== -1) return undefined
      gap = groups.length
      i++
    } else if (i === text.length) return undefined
  }
  if (gap === -1) return groups.length === 8 ? groups : undefined
  if (groups.length > 7) return undefined
  groups.splice(gap, 0, ...Array.from({ length: 8 - groups.length }, () => 0))
  return groups
}

function groupEnd(text: string, start: number): number {
  let i = start
  while (i < text.length && hexDigit(text.charCodeAt(i)) !== -1) i++
  return i
}

function groupValue(text: string, start: number, end: number): number | undefined {
  if (end === start || end - start > 4) return undefined
  let value = 0
  for (let i = start; i < end; i++) value = value * 16 + hexDigit(text.charCodeAt(i))
  return value
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const lower = code | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}

function bitsOf(groups: readonly number[]): bigint {
  let bits = 0n
  for (const group of groups) bits = (bits << 16n) | BigInt(group)
  return bits
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as `::`. */
function textOf(groups: readonly number[]): string {
  const [, , , , , , high = 0, low = 0] = groups
  if (groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0)) {
    return `::ffff:${high >>> 8}.${high & 255}.${low >>> 8}.${low & 255}`
  }
  let best = -1
  let bestLength = 1
  let run = 0
  groups.forEach((group, i) => {
    run = group === 0 ? run + 1 : 0
    if (run > bestLength) {
      bestLength = run
      best = i - run + 1
    }
  })
  const hex = groups.map((group) => group.toString(16))
  if (best === -1) return hex.join(':')
  return `${hex.slice(0, best).join(':')}::${hex.slice(best + bestLength).join(':')}`
}

interface Range {
  readonly first: bigint
  readonly last: bigint
  readonly class: AddressClass
}

function range(text: string, addressClass: AddressClass): Range {
  const cidr = parseCidr(text)
  if (cidr === undefined) throw new Error(`not a block: ${text}`)
  const size = 1n << BigInt((cidr.family === 4 ? 32 : 128) - cidr.prefix)
  return { first: cidr.bits, last: cidr.bits + size - 1n, class: addressClass }
}

// Addresses at which clouds hand out credentials or machine data, wherever they lie: link-local, shared,
// unique-local, and (Azure's wire server) in the middle of public space.
const metadataAddresses: ReadonlySet<string> = new Set([
  '169.254.169.254', // AWS, Google, Azure, OpenStack and most others
  '169.254.170.2', // AWS ECS task credentials
  '169.254.170.23', // AWS EKS pod identity
  '169.254.0.23', // Tencent
  '169.254.10.10', // Tencent
  '169.254.42.42', // Scaleway
  '100.100.100.200', // Alibaba, in shared space
  '100.96.0.96', // Volcengine, in shared space
  '192.0.0.192', // Oracle
  '168.63.129.16', // Azure wire server, in public space
  'fd00:ec2::254', // AWS
  'fd00:ec2::23', // AWS EKS pod identity
  'fd20:ce::254', // Google
  'fd00:c1::a9fe:a9fe', // Oracle
  'fd00:42::42', // Scaleway
  'fd00:a9fe:a9fe::1', // Linode
  'fd00:100::100:200', // Alibaba
  'fe80::a9fe:a9fe', // OpenStack
])

// IANA IPv4 Special-Purpose Address Registry, whole (also the entries it calls globally reachable: AS112
// and AMT are no place for an agent), with multicast. First match wins.
const ipv4Ranges: readonly Range[] = [
  range('0.0.0.0/32', 'unspecified'),
  range('0.0.0.0/8', 'reserved'), // this network, RFC 791
  range('10.0.0.0/8', 'private'), // RFC 1918
  range('100.64.0.0/10', 'private'), // shared space of carriers and overlays, RFC 6598
  range('127.0.0.0/8', 'loopback'), // RFC 1122
  range('169.254.0.0/16', 'link_local'), // RFC 3927
  range('172.16.0.0/12', 'private'), // RFC 1918
  range('192.0.0.0/24', 'reserved'), // protocol assignments, RFC 6890
  range('192.0.2.0/24', 'reserved'), // documentation, RFC 5737
  range('192.31.196.0/24', 'reserved'), // AS112, RFC 7535
  range('192.52.193.0/24', 'reserved'), // AMT, RFC 7450
  range('192.88.99.0/24', 'reserved'), // 6to4 relays, RFC 7526
  range('192.168.0.0/16', 'private'), // RFC 1918
  range('192.175.48.0/24', 'reserved'), // AS112, RFC 7534
  range('198.18.0.0/15', 'reserved'), // benchmarks, RFC 2544
  range('198.51.100.0/24', 'reserved'), // documentation, RFC 5737
  range('203.0.113.0/24', 'reserved'), // documentation, RFC 5737
  range('224.0.0.0/4', 'multicast'), // RFC 1112
  range('240.0.0.0/4', 'reserved'), // future use and broadcast, RFC 1112
]

// IANA IPv6 Special-Purpose Address Registry, whole, with what it leaves out: compatible, SIIT and
// site-local addresses and multicast. What no line names is public only inside 2000::/3.
const ipv6Ranges: readonly Range[] = [
  range('::/128', 'unspecified'),
  range('::1/128', 'loopback'),
  range('::/96', 'translated'), // IPv4-compatible, RFC 4291 2.5.5.1
  range('::ffff:0:0/96', 'translated'), // IPv4-mapped, RFC 4291 2.5.5.2
  range('::ffff:0:0:0/96', 'translated'), // SIIT, RFC 2765
  range('64:ff9b::/96', 'translated'), // NAT64, RFC 6052
  range('64:ff9b:1::/48', 'translated'), // local NAT64, RFC 8215
  range('2001::/32', 'translated'), // Teredo, RFC 4380
  range('2001::/23', 'reserved'), // protocol assignments, ORCHID, benchmarks, RFC 2928
  range('2001:db8::/32', 'reserved'), // documentation, RFC 3849
  range('2002::/16', 'translated'), // 6to4, RFC 3056
  range('2620:4f:8000::/48', 'reserved'), // AS112, RFC 7534
  range('3fff::/20', 'reserved'), // documentation, RFC 9637
  range('fc00::/7', 'private'), // unique local, RFC 4193
  range('fe80::/10', 'link_local'), // RFC 4291
  range('fec0::/10', 'private'), // site-local, RFC 3879
  range('ff00::/8', 'multicast'), // RFC 4291
]

const globalUnicast = range('2000::/3', 'public')

/** The class of an address. `translated` is any IPv6 form that carries an IPv4 address; it is never unwrapped. */
export function classifyAddress(ip: IpAddress): AddressClass {
  if (metadataAddresses.has(ip.text)) return 'metadata'
  const { bits } = ip
  for (const entry of ip.family === 4 ? ipv4Ranges : ipv6Ranges) {
    if (bits >= entry.first && bits <= entry.last) return entry.class
  }
  if (ip.family === 4) return 'public'
  if (bits < globalUnicast.first || bits > globalUnicast.last) return 'reserved'
  return isIsatap(bits) ? 'translated' : 'public'
}

/** ISATAP, RFC 5214 6.1: an interface identifier 0000:5efe or 0200:5efe, then an IPv4 address. */
function isIsatap(bits: bigint): boolean {
  const marker = (bits >> 32n) & 0xffffffffn
  return (marker & 0xfdffffffn) === 0x5efen
}
