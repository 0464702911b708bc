// What keeps browsers and other people's pages away: the Host allow-list against DNS rebinding
// (CVE-2018-14505, CVE-2025-66414), own Origin only, no cross-site fetch, JSON bodies only. Pure; it looks at
// fields of the request and never at who sent it.
import { isLoopback } from '../config/load-rules.ts'
import { valuesOf } from '../target/field-list.ts'
import { uriHost } from '../target/host.ts'
import { ControlFault } from './problem.ts'

/** Which door a request came in by. */
export interface Door {
  readonly kind: 'tcp' | 'socket'
  readonly scheme: 'http' | 'https'
  /** configured names, lower case, with or without port */
  readonly hosts: readonly string[]
}

export interface Guarded {
  readonly method: string
  /** as received */
  readonly target: string
  readonly rawHeaders: readonly string[]
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** address and port that the client connected to; undefined on the socket */
  readonly localAddress: string | undefined
  readonly localPort: number | undefined
}

/** The first guard that says no; undefined: the request may be looked at. */
export function guard(request: Guarded, door: Door): ControlFault | undefined {
  return guardTarget(request) ?? guardCredentials(request) ?? guardHost(request, door) ?? guardOrigin(request, door) ?? guardFetch(request) ?? guardBody(request)
}

export function isSafe(method: string): boolean {
  return method === 'GET' || method === 'HEAD'
}

export function isApi(target: string): boolean {
  return /^\/v1(?:[/?]|$)/.test(target)
}

function guardTarget({ target }: Guarded): ControlFault | undefined {
  return target.startsWith('/') ? undefined : new ControlFault('bad_request', 'this is no proxy: the request-target has to be a path')
}

/** Node would take the first of several, and a proxy in front of it another (RFC 9110 section 5.3). */
function guardCredentials({ rawHeaders }: Guarded): ControlFault | undefined {
  return valuesOf(rawHeaders, 'authorization').length < 2 ? undefined : new ControlFault('bad_request', 'there are several Authorization fields')
}

function guardHost(request: Guarded, door: Door): ControlFault | undefined {
  const names = valuesOf(request.rawHeaders, 'host')
  const host = one(request.headers['host'])?.toLowerCase()
  if (names.length === 1 && host !== undefined && hostsOf(request, door).has(host)) return undefined
  return new ControlFault('misdirected', 'this listener answers to its own address and to the configured names only')
}

/** The name that the pages of a loopback listener have to themselves: browsers take every `*.localhost` to be this machine
 * (RFC 6761 section 6.3), and send its cookies to no other. */
export const pageHost = 'sallyport.localhost'

/** Every Host that is right: the address that was connected to, `localhost` and the pages' name for a loopback one, the
 * configured names. */
function hostsOf({ localAddress, localPort }: Guarded, { kind, scheme, hosts }: Door): ReadonlySet<string> {
  const right = new Set<string>()
  const add = (name: string, port: number | undefined): void => {
    if (port === undefined || port === (scheme === 'https' ? 443 : 80)) right.add(name)
    if (port !== undefined) right.add(`${name}:${port}`)
  }
  if (kind === 'socket') right.add('localhost')
  else if (localAddress !== undefined) {
    const address = localAddress.replace(/^::ffff:(?=\d+\.)/, '')
    add(uriHost(address), localPort)
    if (isLoopback(address)) {
      add('localhost', localPort)
      if (scheme === 'http') add(pageHost, localPort)
    }
  }
  for (const name of hosts) {
    right.add(name)
    if (!/:\d+$/.test(name)) add(name, localPort)
  }
  return right
}

function guardOrigin({ headers }: Guarded, { kind, scheme, hosts }: Door): ControlFault | undefined {
  const origin = headers['origin']
  if (origin === undefined) return undefined
  const host = one(headers['host'])?.toLowerCase() ?? ''
  const own = kind === 'tcp' ? [`${scheme}://${host}`] : []
  // a configured name may be that of a reverse proxy that ends TLS
  if (hosts.includes(host)) own.push(`https://${host}`)
  if (typeof origin === 'string' && own.includes(origin)) return undefined
  return new ControlFault('foreign_origin', 'requests of other origins are not answered')
}

/** What a browser does unasked by its user is not told from what is asked: a change in the name of a cookie has to
 * say that it comes from a page of ours. */
export function guardCookie({ method, headers }: Pick<Guarded, 'method' | 'headers'>): ControlFault | undefined {
  if (isSafe(method) || headers['origin'] !== undefined || headers['sec-fetch-site'] === 'same-origin') return undefined
  return new ControlFault('foreign_origin', 'a change by cookie has to come from a page of this instance')
}

/** A link on another page may lead to a page of ours; everything else of another site is refused. */
function guardFetch({ method, target, headers }: Guarded): ControlFault | undefined {
  const site = headers['sec-fetch-site']
  if (site === undefined || site === 'same-origin' || site === 'none') return undefined
  const navigates = headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document'
  if ((site === 'cross-site' || site === 'same-site') && isSafe(method) && navigates && !isApi(target)) return undefined
  return new ControlFault('cross_site', 'requests of other sites are not answered')
}

/** A form cannot send JSON (Fetch, section 2.2.2: not a CORS-safelisted content type). */
function guardBody({ method, target, headers }: Guarded): ControlFault | undefined {
  if (!['POST', 'PUT', 'PATCH'].includes(method) || !isApi(target)) return undefined
  const type = one(headers['content-type'])
  if (type !== undefined && /^application\/json(?:;\s*charset="?utf-8"?)?$/i.test(type)) return undefined
  return new ControlFault('unsupported_media_type', 'the body has to be application/json')
}

function one(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}
