// A name server as settings and resolv.conf write it. It never holds a name: a name server is dialled by address.
import { parseIp } from '../target/address.ts'

export interface NameServer {
  readonly family: 4 | 6
  /** for the socket: with the zone of a link-local address, if one was given */
  readonly address: string
  readonly port: number
  /** `address:port`, for messages and as key */
  readonly text: string
}

const withPort = /^(?:\[(?<bracketed>[^\]]+)\]|(?<bare>[^:]+)):(?<port>[1-9][0-9]{0,4})$/
const zone = /^[A-Za-z0-9_.-]{1,15}$/

/** `ip`, `ip:port` or `[ipv6]:port`; port 53 where none is given. `undefined`: none of these. */
export function parseNameServer(text: string): NameServer | undefined {
  const plain = fromAddress(text, 53)
  if (plain !== undefined) return plain
  const groups = withPort.exec(text)?.groups
  const address = groups?.['bracketed'] ?? groups?.['bare']
  const port = Number(groups?.['port'])
  return address === undefined || port > 65535 ? undefined : fromAddress(address, port)
}

function fromAddress(text: string, port: number): NameServer | undefined {
  const percent = text.indexOf('%')
  const ip = parseIp(percent === -1 ? text : text.slice(0, percent))
  if (ip === undefined) return undefined
  if (percent === -1) return { family: ip.family, address: ip.text, port, text: format(ip.text, ip.family, port) }
  const zoneName = text.slice(percent + 1)
  if (ip.family === 4 || !zone.test(zoneName)) return undefined
  const address = `${ip.text}%${zoneName}`
  return { family: 6, address, port, text: format(address, 6, port) }
}

function format(address: string, family: 4 | 6, port: number): string {
  return family === 6 ? `[${address}]:${port}` : `${address}:${port}`
}
