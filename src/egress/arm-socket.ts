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
  const slots = onreadSlots(socket)
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

// the fields that net.Socket's own constructor fills from its `onread` option; null while there is none
function onreadSlots(socket: Socket): OnreadSlots | undefined {
  let buffer: symbol | undefined
  let callback: symbol | undefined
  let generator: symbol | undefined
  for (const symbol of Object.getOwnPropertySymbols(socket)) {
    if (symbol.description === 'kBuffer') buffer = symbol
    else if (symbol.description === 'kBufferCb') callback = symbol
    else if (symbol.description === 'kBufferGen') generator = symbol
  }
  if (buffer === undefined || callback === undefined || generator === undefined) return undefined
  const unused = [buffer, callback, generator].every((slot) => Reflect.get(socket, slot) === null)
  return unused ? { buffer, callback, generator } : undefined
}
