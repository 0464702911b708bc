// resolv.conf: name servers, `timeout` and `attempts`. `search`, `domain` and `ndots` are never read: a
// name that policy judged is absolute, and a suffix would make it another name.
import { parseNameServer } from './name-server.ts'
import type { NameServer } from './name-server.ts'

export interface ResolvConf {
  /** at most 8, in the order of the file; unusable ones are left out */
  readonly servers: readonly NameServer[]
  /** how long one server is waited for before the next one is asked too, `ms`; 1-30 s */
  readonly timeoutMs: number
  /** how often the list is gone through; 1-5, 3 where the file says nothing, as we wait less each time than others */
  readonly attempts: number
}

export const resolvConfDefaults: ResolvConf = { servers: [], timeoutMs: 5000, attempts: 3 }
const maxServers = 8

/** Never throws: what is not understood is skipped, as resolv.conf(5) says. */
export function parseResolvConf(text: string): ResolvConf {
  const servers: NameServer[] = []
  let { timeoutMs, attempts } = resolvConfDefaults
  for (const line of text.split('\n')) {
    const [keyword, ...words] = line.trim().split(/\s+/)
    if (keyword === 'nameserver' && servers.length < maxServers) {
      const server = parseNameServer(words[0] ?? '')
      if (server !== undefined && !servers.some((other) => other.text === server.text)) servers.push(server)
    }
    if (keyword !== 'options') continue
    for (const word of words) {
      timeoutMs = optionValue(word, 'timeout', 30, timeoutMs / 1000) * 1000
      attempts = optionValue(word, 'attempts', 5, attempts)
    }
  }
  return { servers, timeoutMs, attempts }
}

function optionValue(word: string, name: string, max: number, otherwise: number): number {
  const value = word.startsWith(`${name}:`) ? word.slice(name.length + 1) : ''
  return /^[0-9]{1,9}$/.test(value) ? Math.min(Math.max(Number(value), 1), max) : otherwise
}
