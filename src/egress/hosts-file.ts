// The hosts file: names that the operator of this machine gave addresses. A line that cannot be read is
// skipped, as every system does; a name never gets an address that its line does not write out.
import { parseIp } from '../target/address.ts'
import type { IpAddress } from '../target/address.ts'

/** Lower-case names without final dot, each with its addresses in the order of the file. */
export function parseHostsFile(text: string): ReadonlyMap<string, readonly IpAddress[]> {
  const hosts = new Map<string, IpAddress[]>()
  for (const line of text.split('\n')) {
    const comment = line.indexOf('#')
    const [address = '', ...names] = (comment === -1 ? line : line.slice(0, comment)).trim().split(/\s+/)
    const ip = parseIp(address)
    if (ip === undefined) continue
    for (const name of names) add(hosts, name.toLowerCase().replace(/\.$/, ''), ip)
  }
  return hosts
}

function add(hosts: Map<string, IpAddress[]>, name: string, ip: IpAddress): void {
  const known = hosts.get(name)
  if (known === undefined) hosts.set(name, [ip])
  else if (!known.some((other) => other.text === ip.text)) known.push(ip)
}
