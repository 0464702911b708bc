// Ports: how a pattern writes them, which ones a request uses by default, and which are closed unless
// a rule names host and port.

export interface PortRange {
  readonly first: number
  readonly last: number
}

// Services that take commands from anybody who can connect, or that turn a proxy into a mail relay.
const neverPorts: ReadonlySet<number> = new Set([
  7, 9, 11, 13, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 79, 109, 110, 111, 113, 119, 123, 135, 137, 138, 139,
  143, 161, 162, 179, 389, 427, 445, 465, 500, 512, 513, 514, 515, 540, 548, 554, 587, 601, 623, 636, 873, 990, 993,
  995, 1099, 1433, 1434, 1521, 1719, 1720, 1723, 1883, 2049, 2181, 2375, 2376, 2379, 2380, 2483, 2484, 3268, 3269,
  3306, 3389, 3659, 4045, 4222, 4369, 5060, 5061, 5432, 5672, 5900, 5984, 5985, 5986, 6000, 6379, 6380, 6443, 6566,
  6665, 6666, 6667, 6668, 6669, 6697, 7001, 7077, 8500, 9042, 9092, 9160, 9200, 9300, 10080, 10250, 10255, 11211,
  27017, 27018, 50070,
])

/** Whether the port is denied unless a rule names host and port. */
export function isNeverPort(port: number): boolean {
  return neverPorts.has(port)
}

/** `443` or `8000-8100`; 1-65535, no sign, no leading zero, first not above last. */
export function parsePorts(text: string): PortRange | undefined {
  const dash = text.indexOf('-')
  const first = portNumber(dash === -1 ? text : text.slice(0, dash))
  const last = dash === -1 ? first : portNumber(text.slice(dash + 1))
  if (first === undefined || last === undefined || first > last) return undefined
  return { first, last }
}

function portNumber(text: string): number | undefined {
  if (!/^[1-9]\d{0,4}$/.test(text)) return undefined
  const port = Number(text)
  return port <= 65535 ? port : undefined
}

/** Whether a pattern without a port opens this one. CONNECT to 80 is how plain WebSockets travel. */
export function isDefaultPort(stage: 'connect' | 'request', scheme: 'http' | 'https', port: number): boolean {
  if (stage === 'connect') return port === 443 || port === 80
  return port === (scheme === 'https' ? 443 : 80)
}

/** For people: `ports 443 (https) and 80 (http)`, `every port`, `port 22`, `ports 8000-8100`. */
export function formatPorts(ports: 'default' | 'every' | readonly PortRange[]): string {
  if (ports === 'default') return 'ports 443 (https) and 80 (http)'
  if (ports === 'every') return 'every port'
  const texts = ports.map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`))
  return `${ports.length === 1 && ports[0]?.first === ports[0]?.last ? 'port' : 'ports'} ${texts.join(', ')}`
}
