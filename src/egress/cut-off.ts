// Breaks a connection off so that its peer cannot take it for an orderly end: a reset where TCP is spoken,
// and over TLS a close without close_notify (RFC 8446 section 6.1).
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'

export function cutOff(socket: Socket): void {
  // node resets TCP handles only, and throws for any other
  if (socket instanceof TLSSocket) socket.destroy()
  else socket.resetAndDestroy()
}
