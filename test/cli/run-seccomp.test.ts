// The filter of system calls, run as the kernel runs it: on every call that matters, and on others.
import t from 'tap'
import { filteredArchitectures, seccompFilter } from '../../src/cli/run-seccomp.ts'
import * as fc from '../support/property.ts'

const audits: Readonly<Record<string, number>> = { x64: 0xc000003e, arm64: 0xc00000b7 }
const calls: Readonly<Record<string, Readonly<Record<'socket' | 'ioctl' | 'keyctl' | 'read', number>>>> = { x64: { socket: 41, ioctl: 16, keyctl: 250, read: 0 }, arm64: { socket: 198, ioctl: 29, keyctl: 219, read: 63 } }
const [EPERM, ENOSYS, EAFNOSUPPORT] = [1, 38, 97]

interface Call {
  readonly audit: number
  readonly call: number
  readonly args?: readonly bigint[]
}

/** `allow`, or the error number; steps as in linux/filter.h. */
function outcome(program: Buffer, { audit, call, args = [] }: Call): 'allow' | number {
  const data = Buffer.alloc(64)
  data.writeUInt32LE(call, 0)
  data.writeUInt32LE(audit, 4)
  for (const [at, arg] of args.entries()) data.writeBigUInt64LE(BigInt.asUintN(64, arg), 16 + at * 8)
  let accumulator = 0
  for (let at = 0; at * 8 < program.length; at += 1) {
    const [code, yes, no, value] = [program.readUInt16LE(at * 8), program.readUInt8(at * 8 + 2), program.readUInt8(at * 8 + 3), program.readUInt32LE(at * 8 + 4)]
    if (code === 0x20) accumulator = data.readUInt32LE(value)
    else if (code === 0x15) at += accumulator === value ? yes : no
    else if (code === 0x35) at += accumulator >= value ? yes : no
    else if (code === 0x06) return value === 0x7fff0000 ? 'allow' : value & 0xffff
    else throw new Error(`step ${code}`)
  }
  throw new Error('it ran past its end')
}

for (const architecture of filteredArchitectures) {
  const program = seccompFilter(architecture) ?? Buffer.alloc(0)
  const audit = audits[architecture] ?? 0
  const { socket, ioctl, keyctl, read } = calls[architecture] ?? { socket: 0, ioctl: 0, keyctl: 0, read: 0 }

  t.test(`${architecture}: sockets are of families that end at the namespace`, async (t) => {
    for (const family of [1, 2, 10, 16]) t.equal(outcome(program, { audit, call: socket, args: [BigInt(family)] }), 'allow', String(family))
    // packet, bluetooth, vsock, alg, xdp
    for (const family of [0, 17, 31, 40, 38, 44, 0xffff_ffff]) t.equal(outcome(program, { audit, call: socket, args: [BigInt(family)] }), EAFNOSUPPORT, String(family))
    t.equal(outcome(program, { audit, call: socket, args: [0x1_0000_0028n] }), EAFNOSUPPORT, 'the kernel looks at the low 32 bits')
    t.equal(outcome(program, { audit, call: socket, args: [0x1_0000_0002n] }), 'allow')
  })

  t.test(`${architecture}: nothing is typed into the terminal`, async (t) => {
    for (const request of [0x5412n, 0x541cn, 0x1_0000_5412n, -0x1_0000_0000n + 0x5412n]) t.equal(outcome(program, { audit, call: ioctl, args: [0n, request] }), EPERM)
    for (const request of [0x5413n, 0x5401n, 0n]) t.equal(outcome(program, { audit, call: ioctl, args: [0x5412n, request] }), 'allow')
  })

  t.test(`${architecture}: rings, keys and calls of other architectures are not there`, async (t) => {
    for (const call of [425, 426, 427]) t.equal(outcome(program, { audit, call }), ENOSYS)
    t.equal(outcome(program, { audit, call: keyctl }), EPERM)
    t.equal(outcome(program, { audit, call: read }), 'allow')
    for (const other of [0x40000003, 0x40000028, ...Object.values(audits).filter((known) => known !== audit)]) t.equal(outcome(program, { audit: other, call: read }), ENOSYS)
    if (architecture === 'x64') for (const call of [0x40000000 + socket, 0x40000000, 0xffffffff]) t.equal(outcome(program, { audit, call }), ENOSYS, 'x32')
  })

  t.test(`${architecture}: every call comes to an answer`, async (t) => {
    await fc.assert(fc.asyncProperty(fc.integer({ min: 0, max: 600 }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), async (call, arg) => {
      t.ok(['allow', EPERM, ENOSYS, EAFNOSUPPORT].includes(outcome(program, { audit, call, args: [arg, arg] })))
    }))
  })
}

t.test('for other machines there is none', async (t) => {
  for (const architecture of ['ia32', 'riscv64', '', 'constructor']) t.equal(seccompFilter(architecture), undefined, architecture)
})
