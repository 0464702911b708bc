import { BlockList, isIP } from 'node:net'
import t from 'tap'
import { cidrContains, classifyAddress, parseCidr, parseIp } from '../../src/target/address.ts'
import type { AddressClass, IpAddress } from '../../src/target/address.ts'
import * as fc from '../support/property.ts'

/** An address written the long way, so that the tests do not lean on the code's own formatting. */
function spelled(family: 4 | 6, bits: bigint): string {
  const count = family === 4 ? 4 : 8
  const size = family === 4 ? 8n : 16n
  const parts = Array.from({ length: count }, (_, i) => (bits >> (size * BigInt(count - 1 - i))) & ((1n << size) - 1n))
  return family === 4 ? parts.join('.') : parts.map((part) => part.toString(16)).join(':')
}

function ip(text: string): IpAddress {
  const parsed = parseIp(text)
  if (parsed === undefined) throw new Error(`not an address: ${text}`)
  return parsed
}

/** First, middle and last address of a block. */
function corners(block: string): readonly string[] {
  const [address = '', prefix = ''] = block.split('/')
  const { family, bits } = ip(address)
  const size = 1n << BigInt((family === 4 ? 32 : 128) - Number(prefix))
  return [bits, bits + size / 2n, bits + size - 1n].map((at) => spelled(family, at))
}

t.test('a dotted quad has four decimal octets without leading zeros', async (t) => {
  for (const text of ['0.0.0.0', '1.2.3.4', '127.0.0.1', '255.255.255.255', '192.168.10.100']) {
    t.equal(parseIp(text)?.family, 4)
    t.equal(parseIp(text)?.text, text)
  }
  t.equal(parseIp('1.2.3.4')?.bits, 0x01020304n)
  for (const text of ['', '1', '1.2.3', '1.2.3.4.5', '1.2.3.', '.1.2.3', '1..2.3', '1.2.3.4.', '256.1.1.1', '1.1.1.256', '1.1.1.1000', '01.2.3.4', '1.2.3.04', '00.0.0.0', '0x1.2.3.4', '1.2.3.4/32', ' 1.2.3.4', '1.2.3.4 ', '1.2.3.-4', '+1.2.3.4', '1.2.3.4\0', '１.2.3.4', '1.2.3.a', '4294967296', '1e1.2.3.4']) {
    t.equal(parseIp(text), undefined, JSON.stringify(text))
  }
})

t.test('IPv6 is read in every form and written as RFC 5952 says', async (t) => {
  for (const [text, canonical] of [
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['0000:0000:0000:0000:0000:0000:0000:0001', '::1'],
    ['2001:DB8::AbCd', '2001:db8::abcd'],
    ['2001:0db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:db8::1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['::1.2.3.4', '::102:304'],
    ['::ffff:1.2.3.4', '::ffff:1.2.3.4'],
    ['::FFFF:102:304', '::ffff:1.2.3.4'],
    ['0:0:0:0:0:ffff:0:0', '::ffff:0.0.0.0'],
    ['::ffff:0:1.2.3.4', '::ffff:0:102:304'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
    ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:102:304'],
    ['0000:0000:0000:0000:0000:ffff:255.255.255.255', '::ffff:255.255.255.255'],
  ] as const) {
    t.equal(parseIp(text)?.text, canonical, text)
    t.equal(parseIp(canonical)?.bits, parseIp(text)?.bits, text)
  }
  t.equal(parseIp('2001:db8::1')?.bits, 0x20010db8000000000000000000000001n)
  for (const text of [':', ':::', ':1', '1:', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1:2:3:4:5:6:7:8::', '::1:2:3:4:5:6:7:8', '1:2:3:4::5:6:7:8', '1::2::3', '1:::2', '12345::', '::g', '::1%lo', '::1%25lo', '[::1]', '::1/128', '::1.2.3', '::1.2.3.256', '::01.2.3.4', '1.2.3.4::', '::1.2.3.4:5', '1:2:3:4:5:6:7:1.2.3.4', '::-1', ' ::1', '::1 ', '::\0', '::１', '0x1::']) {
    t.equal(parseIp(text), undefined, JSON.stringify(text))
  }
})

t.test('the runtime agrees on what is an address', async (t) => {
  const junk = fc.string({ unit: fc.constantFrom(...Array.from('0123456789abcdefF:.gx')), maxLength: 20 })
  const groups = fc.array(fc.constantFrom('0', '1', 'ffff', '0000', '12345', '', '1.2.3.4', 'G'), { maxLength: 9 }).map((parts) => parts.join(':'))
  const quads = fc.array(fc.constantFrom('0', '1', '01', '255', '256', '', 'a'), { maxLength: 5 }).map((parts) => parts.join('.'))
  const valid = fc.oneof(fc.ipV4(), fc.ipV6())
  let addresses = 0
  fc.assert(
    fc.property(fc.oneof(junk, groups, quads, valid), (text) => {
      const parsed = parseIp(text)
      if ((parsed?.family ?? 0) !== isIP(text)) throw new Error(`read as ${String(parsed?.text)}`)
      if (parsed === undefined) return
      addresses++
      const again = ip(parsed.text)
      if (again.text !== parsed.text || again.bits !== parsed.bits) throw new Error(`reads back as ${again.text}`)
      if (ip(spelled(parsed.family, parsed.bits)).text !== parsed.text) throw new Error('long form reads differently')
      if (parsed.family === 4 || parsed.text.startsWith('::ffff:')) return
      const seen = new URL(`http://[${text}]/`).hostname
      if (seen !== `[${parsed.text}]`) throw new Error(`a URL parser writes ${seen}`)
    }),
    { numRuns: 20_000 },
  )
  t.ok(addresses > 4000, `${addresses} addresses`)
})

t.test('a block is an address and a prefix with no host bits', async (t) => {
  for (const [text, canonical] of [
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['::/0', '::/0'],
    ['10.1.2.3', '10.1.2.3/32'],
    ['10.1.2.3/32', '10.1.2.3/32'],
    ['FC00:0::/7', 'fc00::/7'],
    ['::1', '::1/128'],
    ['::ffff:0:0/96', '::ffff:0.0.0.0/96'],
  ] as const) {
    t.equal(parseCidr(text)?.text, canonical, text)
    t.same(parseCidr(canonical), parseCidr(text))
  }
  for (const text of ['', '/', '/8', '10.0.0.0/', '10.0.0.1/8', '10.0.0.0/33', '10.0.0.0/08', '10.0.0.0/+8', '10.0.0.0/-8', '10.0.0.0/ 8', '10.0.0.0/8 ', '10.0.0.0/8/8', '10.0.0.0/255.0.0.0', '10.0.0.0/1e1', '10/8', 'fc00::1/7', '::/129', '::/0128', '[::]/0', 'a.test/8', '0.0.0.1/0', '0.0.0.0/00']) {
    t.equal(parseCidr(text), undefined, text)
  }
})

t.test('the runtime agrees on what a block holds', async (t) => {
  const cases = fc.oneof(
    fc.tuple(fc.constant<4 | 6>(4), fc.bigInt(0n, (1n << 32n) - 1n), fc.integer({ min: 0, max: 32 }), fc.bigInt(0n, (1n << 32n) - 1n)),
    fc.tuple(fc.constant<4 | 6>(6), fc.bigInt(0n, (1n << 128n) - 1n), fc.integer({ min: 0, max: 128 }), fc.bigInt(0n, (1n << 128n) - 1n)),
  )
  let held = 0
  fc.assert(
    fc.property(cases, fc.boolean(), fc.integer({ min: 0, max: 127 }), ([family, bits, prefix, noise], inside, flip) => {
      const width = family === 4 ? 32 : 128
      const hostBits = (1n << BigInt(width - prefix)) - 1n
      const base = bits & ~hostBits
      const near = base | (noise & hostBits)
      const address = ip(spelled(family, inside ? near : near ^ (1n << BigInt(flip % width))))
      const cidr = parseCidr(`${spelled(family, base)}/${prefix}`)
      if (cidr === undefined) throw new Error('not a block')
      const list = new BlockList()
      list.addSubnet(spelled(family, base), prefix, `ipv${family}`)
      const expected = list.check(address.text, `ipv${family}`)
      if (cidrContains(cidr, address) !== expected) throw new Error(`${cidr.text} and ${address.text}: ${String(expected)}`)
      if (expected) held++
    }),
    { numRuns: 3000 },
  )
  t.ok(held > 1000 && held < 2900, `${held} held`)
})

t.test('a block never holds an address of the other family', async (t) => {
  const everything = parseCidr('0.0.0.0/0')
  const loopback = parseCidr('127.0.0.0/8')
  const mapped = parseCidr('::ffff:0:0/96')
  if (everything === undefined || loopback === undefined || mapped === undefined) throw new Error('blocks')
  for (const text of ['::', '::1', '::ffff:127.0.0.1', '::127.0.0.1']) {
    t.notOk(cidrContains(everything, ip(text)), text)
    t.notOk(cidrContains(loopback, ip(text)), text)
  }
  t.notOk(cidrContains(mapped, ip('127.0.0.1')))
  t.ok(cidrContains(mapped, ip('::ffff:127.0.0.1')))
})

const blocks: readonly (readonly [string, AddressClass])[] = [
  ['0.0.0.0/32', 'unspecified'], ['10.0.0.0/8', 'private'], ['100.64.0.0/10', 'private'], ['127.0.0.0/8', 'loopback'],
  ['169.254.0.0/16', 'link_local'], ['172.16.0.0/12', 'private'], ['192.0.0.0/24', 'reserved'], ['192.0.2.0/24', 'reserved'],
  ['192.31.196.0/24', 'reserved'], ['192.52.193.0/24', 'reserved'], ['192.88.99.0/24', 'reserved'], ['192.168.0.0/16', 'private'],
  ['192.175.48.0/24', 'reserved'], ['198.18.0.0/15', 'reserved'], ['198.51.100.0/24', 'reserved'], ['203.0.113.0/24', 'reserved'],
  ['224.0.0.0/4', 'multicast'], ['240.0.0.0/4', 'reserved'], ['255.255.255.255/32', 'reserved'], ['0.0.0.1/32', 'reserved'], ['0.128.0.0/9', 'reserved'],
  ['::/128', 'unspecified'], ['::1/128', 'loopback'], ['::0:2/127', 'translated'], ['::8000:0/97', 'translated'],
  ['::ffff:0:0/96', 'translated'], ['::ffff:0:0:0/96', 'translated'], ['64:ff9b::/96', 'translated'], ['64:ff9b:1::/48', 'translated'],
  ['100::/64', 'reserved'], ['100:0:0:1::/64', 'reserved'], ['2001::/32', 'translated'], ['2001:1::/32', 'reserved'], ['2001:2::/48', 'reserved'],
  ['2001:3::/32', 'reserved'], ['2001:4:112::/48', 'reserved'], ['2001:10::/28', 'reserved'], ['2001:20::/28', 'reserved'], ['2001:30::/28', 'reserved'],
  ['2001:40::/26', 'reserved'], ['2001:80::/25', 'reserved'], ['2001:100::/24', 'reserved'], ['2001:db8::/32', 'reserved'], ['2002::/16', 'translated'], ['2620:4f:8000::/48', 'reserved'], ['3fff::/20', 'reserved'],
  ['4000::/2', 'reserved'], ['5f00::/16', 'reserved'], ['8000::/2', 'reserved'], ['e000::/4', 'reserved'], ['fc00::/7', 'private'], ['fe00::/9', 'reserved'],
  ['fe80::/10', 'link_local'], ['fec0::/10', 'private'], ['ff00::/8', 'multicast'],
]

t.test('the first, middle and last address of every special block have its class', async (t) => {
  for (const [block, expected] of blocks) {
    for (const text of corners(block)) t.equal(classifyAddress(ip(text)), expected, `${text} of ${block}`)
  }
})

t.test('the neighbours of the special blocks are public', async (t) => {
  for (const text of [
    '1.0.0.0', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255', '128.0.0.0', '169.253.255.255', '169.255.0.0',
    '172.15.255.255', '172.32.0.0', '191.255.255.255', '192.0.1.0', '192.0.1.255', '192.0.3.0', '192.31.195.255', '192.31.197.0', '192.52.192.255', '192.52.194.0',
    '192.88.98.255', '192.88.100.0', '192.167.255.255', '192.169.0.0', '192.175.47.255', '192.175.49.0', '198.17.255.255', '198.20.0.0', '198.51.99.255', '198.51.101.0',
    '203.0.112.255', '203.0.114.0', '223.255.255.255', '8.8.8.8', '168.63.129.15', '168.63.129.17',
    '2000::', '2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '2001:200::', '2001:db7:ffff:ffff:ffff:ffff:ffff:ffff', '2001:db9::', '2003::',
    '2620:4f:7fff:ffff:ffff:ffff:ffff:ffff', '2620:4f:8001::', '3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '3fff:1000::', '3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    '2606:4700:4700::1111', '2a00:1450::5efd:7f00:1', '2a00:1450::5eff:7f00:1', '2a00:1450::100:5efe:7f00:1',
  ]) {
    t.equal(classifyAddress(ip(text)), 'public', text)
  }
})

t.test('addresses that hand out credentials are named one by one, however written', async (t) => {
  for (const text of [
    '169.254.169.254', '169.254.170.2', '169.254.170.23', '100.100.100.200', '192.0.0.192', '168.63.129.16',
    'fd00:ec2::254', 'FD00:0EC2:0:0:0:0:0:254', 'fd00:ec2::23', 'fd20:ce::254', 'fd00:c1::a9fe:a9fe', 'fd00:c1::169.254.169.254', 'fe80::a9fe:a9fe',
  ]) {
    t.equal(classifyAddress(ip(text)), 'metadata', text)
  }
  t.equal(classifyAddress(ip('fd00:ec2::255')), 'private')
  t.equal(classifyAddress(ip('169.254.169.253')), 'link_local')
})

t.test('an IPv4 address in IPv6 clothes is never public', async (t) => {
  for (const inner of ['127.0.0.1', '10.0.0.1', '169.254.169.254', '8.8.8.8']) {
    const [a = 0, b = 0, c = 0, d = 0] = inner.split('.').map(Number)
    const hex = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
    const inverted = `${((a << 8) | b ^ 0xffff).toString(16)}:${((c << 8) | d ^ 0xffff).toString(16)}`
    for (const text of [
      `::${inner}`, `::ffff:${inner}`, `::ffff:${hex}`, `::ffff:0:${inner}`, `64:ff9b::${inner}`, `64:ff9b:1::${inner}`, `64:ff9b:1:${hex}::`,
      `2002:${hex}::1`, `2001:0:4136:e378:8000:63bf:${inverted}`, `2a00:1450:4001:800::5efe:${inner}`, `2a00:1450:4001:800:200:5efe:${inner}`,
    ]) {
      t.equal(classifyAddress(ip(text)), 'translated', text)
    }
    t.not(classifyAddress(ip(`fe80::5efe:${inner}`)), 'public')
  }
})

t.test('only global unicast outside every special block is public', async () => {
  // one list for each family: a BlockList holds IPv4 addresses against their mapped form too
  const lists = { 4: new BlockList(), 6: new BlockList() }
  for (const [block] of blocks) {
    const [address = '', prefix = ''] = block.split('/')
    const { family } = ip(address)
    lists[family].addSubnet(address, Number(prefix), `ipv${family}`)
  }
  lists[4].addSubnet('0.0.0.0', 8, 'ipv4')
  // what is not assigned of the IETF's own block is as special as what is
  lists[6].addSubnet('2001::', 23, 'ipv6')
  lists[4].addAddress('168.63.129.16')
  const any = fc.oneof(
    fc.tuple(fc.constant<4 | 6>(4), fc.bigInt(0n, (1n << 32n) - 1n)),
    fc.tuple(fc.constant<4 | 6>(6), fc.bigInt(0n, (1n << 128n) - 1n)),
    fc.tuple(fc.constant<4 | 6>(6), fc.bigInt(0x2001n << 112n, (0x2003n << 112n) - 1n)),
  )
  fc.assert(
    fc.property(any, ([family, bits]) => {
      const address = ip(spelled(family, bits))
      const unlisted = !lists[family].check(address.text, `ipv${family}`) && (family === 4 || bits >> 125n === 1n)
      const isPublic = classifyAddress(address) === 'public'
      return isPublic === unlisted
    }),
    { numRuns: 5000 },
  )
})
