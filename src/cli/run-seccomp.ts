// The system calls that an isolated command does not have: those that reach what a network namespace does not close
// (sockets of other families, the kernel's keys, rings that make calls unseen) and those that type into the terminal
// it shares (CVE-2017-5226). A classic BPF program, as bubblewrap takes it. Pure.

interface Machine {
  /** AUDIT_ARCH_… of linux/audit.h */
  readonly audit: number
  readonly socket: number
  readonly ioctl: number
  readonly keys: readonly number[]
}

const machines: Readonly<Record<string, Machine>> = {
  x64: { audit: 0xc000003e, socket: 41, ioctl: 16, keys: [248, 249, 250] },
  arm64: { audit: 0xc00000b7, socket: 198, ioctl: 29, keys: [217, 218, 219] },
}

// io_uring_setup, io_uring_enter, io_uring_register: the same number everywhere
const rings = [425, 426, 427]
// AF_UNIX, AF_INET, AF_INET6, AF_NETLINK: each of them ends at the namespace
const families = [1, 2, 10, 16]
// TIOCSTI and TIOCLINUX, of which the kernel looks at the low 32 bits alone, as this does (CVE-2019-10063)
const typing = [0x5412, 0x541c]
// calls of the x32 ABI have this bit, and numbers of their own
const x32 = 0x40000000

// offsets in struct seccomp_data, little endian
const data = { call: 0, machine: 4, first: 16, second: 24 } as const
const op = { load: 0x20, isEqual: 0x15, isAtLeast: 0x35, answer: 0x06 } as const
const allow = 0x7fff0000
const refuse = (errno: number): number => 0x00050000 | errno
const [EPERM, ENOSYS, EAFNOSUPPORT] = [1, 38, 97]

/** struct sock_filter; `yes` and `no` are how many instructions a comparison skips. */
interface Instruction {
  readonly code: number
  readonly value: number
  readonly yes?: number
  readonly no?: number
}

/** Architectures, as Node names them, that there is a filter for. */
export const filteredArchitectures: readonly string[] = Object.keys(machines)

/** struct sock_filter[]; undefined for an architecture that is not known here. */
export function seccompFilter(architecture: string): Buffer | undefined {
  const machine = Object.hasOwn(machines, architecture) ? machines[architecture] : undefined
  if (machine === undefined) return undefined
  const { audit, socket, ioctl, keys } = machine
  return encode([
    ...unlessOneOf(data.machine, [audit], refuse(ENOSYS)),
    load(data.call),
    ...(architecture === 'x64' ? [{ code: op.isAtLeast, value: x32, no: 1 }, answer(refuse(ENOSYS))] : []),
    ...rings.flatMap((call) => ifEqual(call, refuse(ENOSYS))),
    ...keys.flatMap((call) => ifEqual(call, refuse(EPERM))),
    // each of these two ends with an answer, so what stands behind it is about other calls
    ...onlyFor(socket, [...unlessOneOf(data.first, families, refuse(EAFNOSUPPORT)), answer(allow)]),
    ...onlyFor(ioctl, [load(data.second), ...typing.flatMap((request) => ifEqual(request, refuse(EPERM))), answer(allow)]),
    answer(allow),
  ])
}

function load(offset: number): Instruction {
  return { code: op.load, value: offset }
}

function answer(value: number): Instruction {
  return { code: op.answer, value }
}

function ifEqual(value: number, then: number): readonly Instruction[] {
  return [{ code: op.isEqual, value, no: 1 }, answer(then)]
}

function onlyFor(value: number, then: readonly Instruction[]): readonly Instruction[] {
  return [{ code: op.isEqual, value, no: then.length }, ...then]
}

/** Answers `otherwise` unless what is at `offset` is one of `values`. */
function unlessOneOf(offset: number, values: readonly number[], otherwise: number): readonly Instruction[] {
  return [load(offset), ...values.map((value, at) => ({ code: op.isEqual, value, yes: values.length - at })), answer(otherwise)]
}

function encode(program: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(program.length * 8)
  for (const [at, { code, value, yes = 0, no = 0 }] of program.entries()) {
    bytes.writeUInt16LE(code, at * 8)
    bytes.writeUInt8(yes, at * 8 + 2)
    bytes.writeUInt8(no, at * 8 + 3)
    bytes.writeUInt32LE(value, at * 8 + 4)
  }
  return bytes
}
