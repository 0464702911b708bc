// Destinations of the proxy itself: collectors, parent proxy, receivers of notifications. Agents could read or spoil what
// goes there, so they may not reach them under any name; `agent_telemetry` aside.
import { classifyAddress } from '../target/address.ts'
import type { Host } from '../target/host.ts'
import type { Policy } from './policy.ts'

const thisMachine: readonly string[] = ['localhost', '127.0.0.1', '::1']

/** Whether host and port are reserved; all spellings of this machine are one. */
export function isReserved({ reserved }: Policy, host: Host, port: number): boolean {
  if (reserved.size === 0) return false
  const names = isThisMachine(host) ? [host.text, ...thisMachine] : [host.text]
  return names.some((name) => reserved.has(`${name}:${port}`) || reserved.has(`${name}:*`))
}

function isThisMachine(host: Host): boolean {
  if (host.kind === 'ip') return classifyAddress(host.ip) === 'loopback'
  return host.text === 'localhost' || host.text.endsWith('.localhost')
}
