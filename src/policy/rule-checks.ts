// What excludes what within one rule: keys that cannot stand together, each an error with its reason where it stands.
import { changesFields } from './effects-schema.ts'
import type { HostPattern } from './pattern.ts'
import type { DraftRule } from './rule-schema.ts'
import type { TableReader } from './table-reader.ts'
import { cacheMethods } from './web-reading.ts'

/** Keys that say how an allowed request is made, and so mean nothing where the rule denies. */
const openingKeys = ['raw', 'local', 'via', 'shared_cache', 'max_content', 'read_only', 'set_headers', 'strip_headers', 'credential', 'insecure', 'origin_ca'] as const

/** Looks inside the request, so that a tunnel has to be opened. */
export function isRequestLevel(rule: Pick<DraftRule, 'methods' | 'paths' | 'upgrades' | 'cache' | 'sharedCache' | 'terms' | 'effects'>): boolean {
  if (rule.methods !== undefined || rule.paths !== undefined || rule.upgrades !== undefined || rule.cache || rule.sharedCache) return true
  return rule.terms !== undefined || changesFields(rule.effects)
}

/** Reports what excludes each other in a rule. */
export function checkTogether(table: TableReader, rule: DraftRule): void {
  const { file } = table
  const clash = (key: string, message: string): void => file.error(table.at(key), message)
  const inside = isRequestLevel(rule)
  if (rule.verdict === 'deny') {
    for (const key of openingKeys) {
      if (table.has(key)) clash(key, `\`${key}\` says how an allowed host is reached, and this rule denies`)
    }
  }
  if (rule.raw !== undefined) {
    if (inside) clash('raw', '`raw` is not TLS, so `methods`, `paths`, `upgrades`, `via`, `shared_cache` and fields cannot be seen in it')
    if (rule.effects !== undefined && !inside) clash('raw', '`raw` is not TLS, so there is no certificate for `insecure` or `origin_ca`')
    for (const host of rule.hosts) {
      if (!isExactHostAndPort(host)) file.error(host.at, '`raw` needs an exact host and port, such as `github.com:22`')
    }
  }
  if (rule.cache && rule.methods?.some((method) => !cacheMethods.includes(method)) === true) {
    clash('via', 'only GET and HEAD can be answered from the cache')
  }
  if (rule.cache && rule.upgrades !== undefined) clash('via', 'an upgrade cannot be answered from the cache')
  if (rule.sharedCache) checkSharedCache(table, rule)
  if (rule.otherwise !== undefined && (!inside || rule.verdict === 'deny')) {
    file.warning(table.at('otherwise'), '`otherwise` has no effect: only an allow or ask rule that looks inside requests closes its hosts')
  }
  if (rule.effects !== undefined && rule.verdict !== 'deny') checkEffects(table, rule)
  if (rule.verdict === 'deny') checkDeny(table, rule, inside)
}

function checkDeny(table: TableReader, rule: DraftRule, inside: boolean): void {
  for (const host of rule.hosts) {
    if (host.ports !== undefined) {
      table.file.warning(host.at, 'a deny covers every port of the host, also those not written')
    }
    if (host.scope.kind === 'any' && !inside && rule.agents === undefined && rule.teams === undefined) {
      table.file.error(host.at, 'this would deny every host: write `enabled = false` if that is meant')
    }
  }
}

/** What is kept is given to others of the team: nothing that a credential fetched, nor what somebody was asked about. */
function checkSharedCache(table: TableReader, rule: DraftRule): void {
  const clash = (message: string): void => table.file.error(table.at('shared_cache'), message)
  if (rule.verdict === 'ask') clash('`shared_cache` needs `verdict = "allow"`: what a reviewer allows one session is not kept for others')
  if (rule.cache) clash('`shared_cache` beside `via = "cache"`: what is read from the web cache is never live')
  if (rule.effects?.credential !== undefined) clash('`shared_cache` beside `credential`: what a credential fetched is not for others')
  if (rule.effects?.insecure === true) clash('`shared_cache` beside `insecure`: what came from whoever answered is not for others')
}

function checkEffects(table: TableReader, rule: DraftRule): void {
  const { file } = table
  const { effects, hosts } = rule
  if (effects?.insecure === true) {
    file.warning(table.at('insecure'), '`insecure`: whoever is on the way to these hosts can read and change what is sent; `origin_ca` names a root instead')
    for (const host of hosts) {
      if (!isExactHost(host)) file.error(host.at, '`insecure` needs exact hosts')
    }
    if (effects.originCa.length > 0) file.error(table.at('origin_ca'), '`origin_ca` beside `insecure`: certificates that are not verified need no root')
  }
  for (const host of hosts) {
    if (host.scope.kind === 'any' && effects !== undefined && effects.originCa.length > 0) file.error(host.at, '`origin_ca` for every host: name the hosts whose certificates lead to it')
  }
  if (effects?.credential !== undefined) checkCredential(table, rule)
}

/** A credential goes to one place, for requests that an admin wrote down, and over TLS that is verified. */
function checkCredential(table: TableReader, rule: DraftRule): void {
  const { file } = table
  const clash = (message: string): void => file.error(table.at('credential'), message)
  if (rule.verdict !== 'allow') clash('`credential` needs `verdict = "allow"`: whoever is asked would not see what is sent along')
  for (const key of ['methods', 'paths'] as const) {
    if (rule[key] === undefined) clash(`\`credential\` without \`${key}\`: it would go with every request to these hosts`)
  }
  if (rule.effects?.insecure === true) clash('`credential` beside `insecure`: it would be sent to whoever answers')
  if (rule.cache) clash('`credential` beside `via = "cache"`: what a credential fetched is not for everybody who reads the cache')
  for (const host of rule.hosts) {
    if (!isExactHost(host)) file.error(host.at, '`credential` needs exact hosts: it would be sent to all that the pattern covers')
    else if (host.ports !== undefined && host.ports.first !== host.ports.last) file.error(host.at, '`credential` needs one port, or none, which is 443')
    else if (host.ports?.first === 80) file.error(host.at, '`credential` is sent over https alone, and port 80 is plain http')
  }
}

function isExactHostAndPort(host: HostPattern): boolean {
  return host.ports !== undefined && host.ports.first === host.ports.last && isExactHost(host)
}

function isExactHost({ scope }: HostPattern): boolean {
  if (scope.kind === 'address') return scope.cidr.prefix === (scope.cidr.family === 4 ? 32 : 128)
  return scope.kind === 'exact'
}
