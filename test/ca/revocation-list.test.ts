// Revocation lists against two writers: one of the test's own, whose every byte can be wrong, and that of a library.
import { createPrivateKey, generateKeyPairSync, sign, X509Certificate } from 'node:crypto'
import t from 'tap'
import { bits, boolean, explicit, integer, nothing, octets, oid, sequence, set, time, tlv, utf8 } from '../../src/ca/der.ts'
import { DerError } from '../../src/ca/der-reader.ts'
import { pemBlocks } from '../../src/ca/pem.ts'
import { readIssued, readRevocationList, type RevocationList } from '../../src/ca/revocation-list.ts'
import { testCertificates } from '../support/certificates.ts'
import { array, assert, asyncProperty, bigInt, constantFrom, nat, uint8Array } from '../support/property.ts'

const certificates = await testCertificates()
const ca = new X509Certificate(certificates.ca)

interface Shape {
  readonly version?: Buffer | undefined
  readonly algorithm?: Buffer
  readonly issuer?: Buffer
  readonly times?: readonly Buffer[]
  readonly entries?: readonly Buffer[] | undefined
  readonly extensions?: readonly Buffer[] | undefined
  readonly after?: Buffer
}

const nowMs = Date.UTC(2026, 5, 1)
const ecdsa = sequence(oid('1.2.840.10045.4.3.2'))
const common = (text: Buffer): Buffer => sequence(set(sequence(oid('2.5.4.3'), text)))
const entry = (serial: Buffer, ...more: Buffer[]): Buffer => sequence(tlv(0x02, serial), time(nowMs), ...more)
const extension = (id: string, value: Buffer, isCritical = true): Buffer => sequence(oid(id), ...(isCritical ? [boolean(true)] : []), octets(value))

function encode(shape: Shape = {}): Buffer {
  const { version = integer(Buffer.of(1)), algorithm = ecdsa, issuer = common(utf8('A')), times = [time(nowMs), time(nowMs + 1000)], entries = [entry(Buffer.of(7))], extensions, after } = shape
  const signed = sequence(...(version.length > 0 ? [version] : []), algorithm, issuer, ...times, ...(entries.length > 0 ? [sequence(...entries)] : []), ...(extensions === undefined ? [] : [explicit(0, sequence(...extensions))]), ...(after === undefined ? [] : [after]))
  return sequence(signed, algorithm, bits(Buffer.alloc(8)))
}

const listOf = async (pem: string): Promise<RevocationList> => readRevocationList(pemBlocks(pem)[0]?.der ?? Buffer.alloc(0))

t.test('a list names what its authority took back, and bears the signature of that one', async (t) => {
  const [revoked, sound] = [await certificates.issue(['a.test']), await certificates.issue(['b.test'])]
  const list = await listOf(await certificates.revoke([revoked.serial]))
  const { serial, issuer } = readIssued(new X509Certificate(revoked.cert).raw)
  t.equal(issuer, list.issuer)
  t.equal(issuer, readIssued(ca.raw).subject)
  t.equal(list.names(serial), true)
  t.equal(list.names(readIssued(new X509Certificate(sound.cert).raw).serial), false)
  t.equal(list.size, 1)
  const other = new X509Certificate((await testCertificates()).ca)
  for (let again = 0; again < 2; again += 1) {
    t.equal(list.isSignedBy(ca.publicKey), true)
    t.equal(list.isSignedBy(other.publicKey), false, 'of the same name')
  }
  for (let many = 0; many < 10; many += 1) t.equal(list.isSignedBy(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey), false)
  t.equal(list.isSignedBy(generateKeyPairSync('ed25519').publicKey), false, 'another kind of key')
  t.equal((await listOf(await certificates.revoke([]))).size, 0)
})

t.test('signatures of RSA, ECDSA and Ed25519 are checked, and each over every byte', async (t) => {
  const kinds = [
    ['1.2.840.113549.1.1.11', 'sha256', generateKeyPairSync('rsa', { modulusLength: 2048 }), [nothing()]],
    ['1.2.840.10045.4.3.3', 'sha384', generateKeyPairSync('ec', { namedCurve: 'P-384' }), []],
    ['1.3.101.112', null, generateKeyPairSync('ed25519'), []],
  ] as const
  for (const [id, digest, { privateKey, publicKey }, parameters] of kinds) {
    const algorithm = sequence(oid(id), ...parameters)
    const signed = encode({ algorithm }).subarray(0)
    const whole = signed.subarray(2, 2 + 2 + (signed[3] ?? 0))
    const made = sequence(whole, algorithm, bits(sign(digest, whole, createPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' })))))
    t.equal((await readRevocationList(made)).isSignedBy(publicKey), true, id)
    const changed = Buffer.from(made)
    const at = changed.indexOf(entry(Buffer.of(7)))
    changed[at + 4] = 8
    const list = await readRevocationList(changed)
    t.equal(list.names('8'), true)
    t.equal(list.isSignedBy(publicKey), false, id)
  }
})

t.test('names are equal however they are encoded, as long as they say the same', async (t) => {
  const key = async (issuer: Buffer): Promise<string> => (await readRevocationList(encode({ issuer }))).issuer
  const same = await key(common(utf8('Some Authority')))
  for (const text of [tlv(0x13, Buffer.from('Some Authority')), tlv(0x16, Buffer.from(' some  AUTHORITY ')), tlv(0x1e, Buffer.from('Some Authority', 'utf16le').swap16())]) t.equal(await key(common(text)), same)
  for (const text of [utf8('Some Author'), utf8('SomeAuthority'), tlv(0x04, Buffer.from('Some Authority'))]) t.not(await key(common(text)), same)
  const two = [sequence(oid('2.5.4.3'), utf8('a')), sequence(oid('2.5.4.10'), utf8('b'))] as const
  t.equal(await key(sequence(set(two[0], two[1]))), await key(sequence(set(two[1], two[0]))), 'a set has no order')
  t.not(await key(sequence(set(two[0]), set(two[1]))), await key(sequence(set(two[1]), set(two[0]))), 'a sequence has one')
})

t.test('what a list may leave out, and what does not matter', async (t) => {
  for (const [name, shape, size] of [
    ['no version', { version: Buffer.alloc(0) }, 1], ['no time of the next', { times: [time(nowMs)] }, 1], ['no entries', { entries: [] }, 0],
    ['extensions that are known', { extensions: [extension('2.5.29.20', integer(Buffer.of(9))), extension('2.5.29.28', sequence(boolean(true)))] }, 1],
    ['one that is not, and is not critical', { extensions: [extension('1.2.3.4', nothing(), false)] }, 1],
    ['a reason', { entries: [entry(Buffer.of(7), sequence(extension('2.5.29.21', tlv(0x0a, Buffer.of(6)), false)))] }, 1],
  ] as const) t.equal((await readRevocationList(encode(shape))).size, size, name)
  t.equal((await readRevocationList(encode({ times: [time(nowMs)] }))).nextUpdateMs, undefined)
  t.equal((await readRevocationList(encode())).nextUpdateMs, nowMs + 1000)
  t.equal((await readRevocationList(encode({ times: [time(nowMs), time(Date.UTC(2060, 0, 1))] }))).nextUpdateMs, Date.UTC(2060, 0, 1))
})

t.test('a list that says it in a way that is not understood is none', async (t) => {
  for (const [why, shape] of [
    [/delta/, { extensions: [extension('2.5.29.27', integer(Buffer.of(1)))] }], [/delta/, { extensions: [extension('2.5.29.27', integer(Buffer.of(1)), false)] }],
    [/indirect/, { extensions: [extension('2.5.29.28', sequence(tlv(0x84, Buffer.of(0xff))))] }], [/indirect/, { entries: [entry(Buffer.of(7), sequence(extension('2.5.29.29', sequence())))] }],
    [/critical/, { extensions: [extension('1.2.3.4', nothing())] }], [/critical/, { entries: [entry(Buffer.of(7), sequence(extension('1.2.3.4', nothing())))] }],
    [/neither RSA/, { algorithm: sequence(oid('1.2.840.113549.1.1.5'), nothing()) }], [/neither RSA/, { algorithm: sequence(oid('1.2.840.113549.1.1.10')) }],
    [/version/, { version: integer(Buffer.of(2)) }], [/digit/, { entries: [entry(Buffer.alloc(0))] }],
    [/time/, { times: [tlv(0x17, Buffer.from('260601000000+0000'))] }], [/time/, { times: [tlv(0x17, Buffer.from('261301000000Z'))] }], [/time/, { times: [tlv(0x18, Buffer.from('20260601000000.5Z'))] }],
    [/more than/, { after: nothing() }], [/breaks off/, { issuer: common(tlv(0x1e, Buffer.from('abc'))) }],
  ] as const) await t.rejects(readRevocationList(encode(shape)), { name: 'DerError', message: why })
  await t.rejects(readRevocationList(Buffer.concat([encode(), nothing()])), DerError)
  const mixed = encode()
  await t.rejects(readRevocationList(sequence(mixed.subarray(2, 4 + (mixed[3] ?? 0)), sequence(oid('1.3.101.112')), bits(Buffer.alloc(8)))), /two algorithms/)
})

t.test('every serial number that is written is named, and no other', async () => {
  await assert(asyncProperty(array(bigInt({ min: 0n, max: 2n ** 159n }), { maxLength: 40 }), bigInt({ min: 0n, max: 2n ** 159n }), async (serials, other) => {
    const hex = (serial: bigint): string => serial.toString(16)
    const bytes = (serial: bigint): Buffer => Buffer.from(hex(serial).padStart(hex(serial).length + (hex(serial).length % 2), '0'), 'hex')
    const list = await readRevocationList(encode({ entries: serials.map((serial) => sequence(integer(bytes(serial)), time(nowMs))) }))
    return serials.every((serial) => list.names(hex(serial))) && list.names(hex(other)) === serials.includes(other) && list.size === new Set(serials).size
  }), { numRuns: 60 })
})

t.test('bytes that are changed, cut or made up are a list that is not signed, or none: never another fault', async () => {
  const sound = pemBlocks(await certificates.revoke(['01', '0203', 'ff00']))[0]?.der ?? Buffer.alloc(0)
  const isHarmless = async (bytes: Uint8Array): Promise<boolean> => readRevocationList(bytes).then((list) => !list.isSignedBy(ca.publicKey), (error: unknown) => error instanceof DerError)
  await assert(asyncProperty(nat(sound.length - 1), constantFrom(1, 0x20, 0x80, 0xff), async (at, flip) => {
    const changed = Buffer.from(sound)
    changed[at] = (changed[at] ?? 0) ^ flip
    return isHarmless(changed)
  }), { numRuns: 300 })
  await assert(asyncProperty(nat(sound.length - 1), (length) => isHarmless(sound.subarray(0, length))), { numRuns: 50 })
  await assert(asyncProperty(uint8Array({ maxLength: 60 }), isHarmless), { numRuns: 100 })
})
