// The one place that touches what Node does not document: an accepted socket has no `onread` option, so
// it is armed afterwards, which halves the cost of uploads. Whatever is missing or looks different means
// false, and the caller reads 'data' events instead. Must never leave a socket half armed.
import { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'

/** net.OnReadOpts with functions that need no `this`. */
export interface Onread {
  readonly buffer: () => Uint8Array
  readonly callback: (bytes: number, buffer: Uint8Array) => boolean
}

interface UserBufferHandle {
  useUserBuffer(buffer: Uint8Array): void
}

/** Makes `socket` read through `onread` from now on. False, and nothing changed, where that cannot be done. */
export function armSocket(socket: Socket, onread: Onread): boolean {
  if (socket.constructor !== Socket || socket instanceof TLSSocket || socket.destroyed) return false
  const handle: unknown = Reflect.get(socket, '_handle')
  if (!takesUserBuffer(handle)) return false
  const slots = unusedSlots(socket)
  if (slots === undefined) return false
  const buffer = onread.buffer()
  handle.useUserBuffer(buffer)
  Reflect.set(socket, slots.callback, onread.callback)
  Reflect.set(socket, slots.generator, onread.buffer)
  return Reflect.set(socket, slots.buffer, buffer)
}

function takesUserBuffer(handle: unknown): handle is UserBufferHandle {
  return typeof handle === 'object' && handle !== null && typeof Reflect.get(handle, 'useUserBuffer') === 'function'
}

interface OnreadSlots {
  readonly buffer: symbol
  readonly callback: symbol
  readonly generator: symbol
}

// the symbols are the same for every socket of a process, so the search is done once
const found = new Map<'slots', OnreadSlots>()

/** The fields that net.Socket's own constructor fills from its `onread` option, null while there is none. */
function unusedSlots(socket: Socket): OnreadSlots | undefined {
  const slots = found.get('slots') ?? searchSlots(socket)
  if (slots === undefined) return undefined
  found.set('slots', slots)
  const isUnused = isNull(socket, slots.buffer) && isNull(socket, slots.callback) && isNull(socket, slots.generator)
  return isUnused ? slots : undefined
}

function isNull(socket: Socket, slot: symbol): boolean {
  return Reflect.get(socket, slot) === null
}

function searchSlots(socket: Socket): OnreadSlots | undefined {
  const named = new Map(Object.getOwnPropertySymbols(socket).map((symbol) => [symbol.description, symbol]))
  const [buffer, callback, generator] = ['kBuffer', 'kBufferCb', 'kBufferGen'].map((name) => named.get(name))
  return buffer === undefined || callback === undefined || generator === undefined ? undefined : { buffer, callback, generator }
}
