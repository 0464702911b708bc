// Name constraints (RFC 5280 section 4.2.1.10): for which hosts a certificate authority may sign. Pure. What it
// does not understand in a constraint on names or addresses permits nothing.
import type { IpAddress } from '../target/address.ts'
import type { Host } from '../target/host.ts'
import { explicit, implicit, sequence } from './der.ts'
import { DerError, DerReader, type Element } from './der-reader.ts'

/** What one certificate says; each list is of its own kind of names. */
export interface NameLimits {
  /** lower case, `example.com` is itself and below, `.example.com` below alone; undefined: every name */
  readonly permittedNames: readonly string[] | undefined
  readonly excludedNames: readonly string[]
  readonly permittedBlocks: readonly AddressBlock[] | undefined
  readonly excludedBlocks: readonly AddressBlock[]
}

interface AddressBlock {
  readonly family: 4 | 6
  readonly bits: bigint
  readonly mask: bigint
}

const dnsName = 2
const ipAddress = 7

/** The value of the extension that permits these names and what is below them, and no address. */
export function encodeNameLimits(permitted: readonly string[]): Buffer {
  // a list of nothing would permit everything: a name that nobody can have takes its place (RFC 2606)
  const names = permitted.length === 0 ? ['invalid'] : permitted
  const everyAddress = [Buffer.alloc(8), Buffer.alloc(32)]
  return sequence(
    explicit(0, ...names.map((name) => sequence(implicit(dnsName, Buffer.from(name, 'latin1'))))),
    explicit(1, ...everyAddress.map((block) => sequence(implicit(ipAddress, block)))),
  )
}

/** Reads the value of the extension. Throws DerError. */
export function decodeNameLimits(value: Uint8Array): NameLimits {
  const outer = new DerReader(value)
  const inner = outer.enter(0x30)
  outer.end()
  const permitted = inner.optional(0xa0)
  const excluded = inner.optional(0xa1)
  inner.end()
  const inside = subtrees(permitted)
  const outside = subtrees(excluded)
  return {
    permittedNames: inside.names.length === 0 ? undefined : inside.names,
    excludedNames: outside.names,
    permittedBlocks: inside.blocks.length === 0 ? undefined : inside.blocks,
    excludedBlocks: outside.blocks,
  }
}

function subtrees(list: Element | undefined): { readonly names: string[]; readonly blocks: AddressBlock[] } {
  const names: string[] = []
  const blocks: AddressBlock[] = []
  if (list === undefined) return { names, blocks }
  for (const subtree of new DerReader(list.content).rest()) {
    const base = new DerReader(subtree.content).read()
    if (base.tag === 0x80 + dnsName) names.push(base.content.toString('latin1').toLowerCase())
    if (base.tag === 0x80 + ipAddress) blocks.push(blockOf(base.content))
  }
  return { names, blocks }
}

/** Address and mask, each of 4 or 16 bytes. */
function blockOf(content: Buffer): AddressBlock {
  if (content.length !== 8 && content.length !== 32) throw new DerError('a block of addresses that is neither IPv4 nor IPv6')
  const half = content.length === 32 ? 16 : 4
  return { family: half === 16 ? 6 : 4, bits: bigOf(content.subarray(0, half)), mask: bigOf(content.subarray(half, half * 2)) }
}

function bigOf(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString('hex')}`)
}

/** Whether a leaf for this host is within the limits of every certificate above it. */
export function permits(limits: readonly NameLimits[], host: Host): boolean {
  return limits.every((each) => (host.kind === 'name' ? permitsName(each, host.text) : permitsAddress(each, host.ip)))
}

function permitsName({ permittedNames, excludedNames }: NameLimits, name: string): boolean {
  if (excludedNames.some((limit) => isWithin(limit, name))) return false
  return permittedNames === undefined || permittedNames.some((limit) => isWithin(limit, name))
}

function isWithin(limit: string, name: string): boolean {
  if (limit === '' || limit === name) return true
  return name.endsWith(limit.startsWith('.') ? limit : `.${limit}`)
}

function permitsAddress({ permittedBlocks, excludedBlocks }: NameLimits, ip: IpAddress): boolean {
  if (excludedBlocks.some((block) => holds(block, ip))) return false
  return permittedBlocks === undefined || permittedBlocks.some((block) => holds(block, ip))
}

function holds({ family, bits, mask }: AddressBlock, ip: IpAddress): boolean {
  return family === ip.family && (ip.bits & mask) === (bits & mask)
}
