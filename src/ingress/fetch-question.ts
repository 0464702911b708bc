// What is asked of the fetch service: GET /fetch?url=…&format=…, read strictly from its bytes. Pure. What a browser's page
// could send, what could be read in two ways, and what is not known is refused.
import { checkLoop } from '../egress/field-rules.ts'
import { ProxyError } from '../errors.ts'
import { quoted } from '../target/quoted.ts'
import { parseUrl, type TargetUri } from '../target/target-uri.ts'

export type FetchFormat = 'raw' | 'text' | 'markdown'

export interface FetchQuestion {
  readonly method: 'GET' | 'HEAD'
  readonly target: TargetUri
  readonly format: FetchFormat
}

const formats: ReadonlyMap<string, FetchFormat> = new Map([['raw', 'raw'], ['text', 'text'], ['markdown', 'markdown']])
const badEscape = /%(?![0-9A-Fa-f]{2})/

/** Whether a request-target in origin-form is the fetch service's. */
export function isFetchTarget(target: string | undefined): boolean {
  return target === '/fetch' || target?.startsWith('/fetch?') === true
}

/**
 * Reads method and target of a question. Throws ProxyError `method_not_supported`, `fetch_syntax`, and what parseUrl
 * throws of the URL that is asked for.
 */
export function readFetchQuestion(method: string, target: string): FetchQuestion {
  if (method !== 'GET' && method !== 'HEAD') throw new ProxyError('method_not_supported', `the fetch service takes GET and HEAD, and this is ${quoted(method)}`)
  const mark = target.indexOf('?')
  const values = new Map<string, string>()
  for (const pair of mark === -1 ? [] : target.slice(mark + 1).split('&')) {
    const equals = pair.indexOf('=')
    const key = equals === -1 ? pair : pair.slice(0, equals)
    if (key !== 'url' && key !== 'format') throw new ProxyError('fetch_syntax', `it has the key ${quoted(key)}; known are url and format, and all of the URL must be percent-encoded`)
    if (values.has(key)) throw new ProxyError('fetch_syntax', `it has ${key} twice`)
    values.set(key, unescaped(equals === -1 ? '' : pair.slice(equals + 1), key))
  }
  const url = values.get('url')
  if (url === undefined || url === '') throw new ProxyError('fetch_syntax', 'it names no url: GET /fetch?url=https%3A%2F%2Fexample.com%2F')
  const format = formats.get(values.get('format') ?? 'raw')
  if (format === undefined) throw new ProxyError('fetch_syntax', `the format is one of ${[...formats.keys()].join(', ')}, and this is ${quoted(values.get('format') ?? '')}`)
  return { method, target: targetOf(url), format }
}

/** Bytes as Latin-1. A plus is a space to forms and a plus to URLs: nobody guesses which. */
function unescaped(value: string, key: string): string {
  if (value.includes('+')) throw new ProxyError('fetch_syntax', `${key} holds a +, which is written %2B here`)
  if (badEscape.test(value)) throw new ProxyError('fetch_syntax', `${key} holds a % that is not followed by two hexadecimal digits`)
  return value.replaceAll(/%([0-9A-Fa-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)))
}

function targetOf(url: string): TargetUri {
  try {
    return parseUrl(url)
  } catch (error) {
    if (!(error instanceof ProxyError) || error.code !== 'scheme_unsupported') throw error
    throw new ProxyError('fetch_syntax', `the url is http or https, and this is ${error.detail}`, { cause: error })
  }
}

/**
 * Refuses what a page in a browser can have it send: Origin, Referer, and the Sec-Fetch fields (W3C Fetch Metadata), of which
 * node's own fetch sends `Sec-Fetch-Mode: cors` alone. Throws ProxyError `fetch_from_browser`, `loop_detected`.
 */
export function checkFetchFields(rawHeaders: readonly string[], pseudonym: string): void {
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]?.toLowerCase() ?? ''
    const isNodes = name === 'sec-fetch-mode' && rawHeaders[at + 1] === 'cors'
    if (name === 'origin' || name === 'referer' || (name.startsWith('sec-fetch-') && !isNodes)) {
      throw new ProxyError('fetch_from_browser', `the request has the field ${quoted(name)}, which browsers send`)
    }
  }
  const loop = checkLoop(rawHeaders, pseudonym)
  if (loop !== undefined) throw loop
}

/** Fields of what is sent to the origin or looked for in the cache: ours, and what the asker takes. Nothing else of it. */
export function fetchFields(rawHeaders: readonly string[], userAgent: string): string[] {
  const fields = ['User-Agent', userAgent]
  let accept = '*/*'
  let language: string | undefined
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]?.toLowerCase()
    if (name === 'accept') accept = rawHeaders[at + 1] ?? accept
    else if (name === 'accept-language') language = rawHeaders[at + 1]
  }
  fields.push('Accept', accept)
  if (language !== undefined) fields.push('Accept-Language', language)
  return fields
}
