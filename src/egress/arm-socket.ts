// The one place that touches what Node does not document: an accepted socket has no `onread` option, so
// it is armed afterwards, which halves the cost of uploads. Whatever is missing or looks different means
// false, and the caller reads 'data' events instead. Must never leave a socket half armed.
import { EventEmitter } from 'node:events'
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

interface HandledSocket extends Socket {
  _handle: UserBufferHandle | null
  [slot: symbol]: unknown
}

/** The fields that net.Socket's own constructor fills from its `onread` option, null while there is none. */
interface OnreadSlots {
  readonly buffer: symbol
  readonly callback: symbol
  readonly generator: symbol
}

// the symbols are the same for every socket of a process, so the search is done once
let slots: OnreadSlots | undefined

/**
 * Makes `socket` read through `onread` from now on. False, and nothing changed, where that cannot be done. A socket with TLS is
 * armed with `mayBeTls` alone: when `callback` says false, TLS still hands on what it has decrypted (Node 26.10).
 */
export function armSocket(socket: Socket, onread: Onread, mayBeTls = false): boolean {
  const kind: unknown = socket.constructor
  const isTls = kind === TLSSocket
  if (!(kind === Socket || (isTls && mayBeTls)) || socket.destroyed || !isHandled(socket)) return false
  // what TLS has put into the stream already would be told by nobody
  if (isTls && socket.readableLength > 0) return false
  const { _handle: handle } = socket
  if (handle === null || typeof handle.useUserBuffer !== 'function') return false
  slots ??= searchSlots(socket)
  if (slots === undefined) return false
  const { buffer, callback, generator } = slots
  if (socket[buffer] !== null || socket[callback] !== null || socket[generator] !== null) return false
  const armed = onread.buffer()
  handle.useUserBuffer(armed)
  socket[callback] = onread.callback
  socket[generator] = onread.buffer
  socket[buffer] = armed
  return true
}

/**
 * The number of its file descriptor, which tells how many are taken: the system gives out the lowest that is free. Undefined
 * where there is none, or where that cannot be seen.
 */
export function descriptorOf(socket: Socket): number | undefined {
  const handle: unknown = isHandled(socket) ? socket._handle : null
  const fd: unknown = handle === null ? undefined : Reflect.get(Object(handle), 'fd')
  return typeof fd === 'number' && fd >= 0 ? fd : undefined
}

/** Cuts a closed socket off from its reader: its handle keeps the socket, and all it refers to, until a full collection. */
export function disarmSocket(socket: Socket): void {
  if (slots === undefined || !socket.destroyed || !isHandled(socket)) return
  socket[slots.callback] = null
  socket[slots.generator] = null
  socket[slots.buffer] = null
}

/** As `disarmSocket`, for who listens. Not the stream's own method, which looks at what is left a tick later. */
export function dropListeners(closed: Socket): void {
  EventEmitter.prototype.removeAllListeners.call(closed)
}

function isHandled(socket: Socket): socket is HandledSocket {
  return '_handle' in socket && (socket._handle === null || typeof socket._handle === 'object')
}

function searchSlots(socket: Socket): OnreadSlots | undefined {
  const named = new Map(Object.getOwnPropertySymbols(socket).map((symbol) => [symbol.description, symbol]))
  const [buffer, callback, generator] = ['kBuffer', 'kBufferCb', 'kBufferGen'].map((name) => named.get(name))
  return buffer === undefined || callback === undefined || generator === undefined ? undefined : { buffer, callback, generator }
}
