// The head of a GET without a body, as it is written to an origin. Pure. Must never write what could end a line.
import { isFieldValue, isToken } from '../target/field-syntax.ts'
import type { OriginRequest } from './origin-connection.ts'

const target = /^[\x21-\x7e]+$/

/** As undici writes it: Host and Connection first. Undefined for what is not a GET without a body, for one that says
 * so, and for what undici would refuse. */
export function bareRequest({ method, path, headers, body, upgrade }: OriginRequest): string | undefined {
  const [host, authority] = headers
  if (method !== 'GET' || body !== null || upgrade !== undefined || host !== 'Host' || authority === undefined || !target.test(path) || !isFieldValue(authority)) return undefined
  let text = `GET ${path} HTTP/1.1\r\nhost: ${authority}\r\nconnection: keep-alive\r\n`
  for (let i = 2; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? ''
    const value = headers[i + 1] ?? ''
    if (!isToken(name) || !isFieldValue(value) || isFraming(name)) return undefined
    text += `${name}: ${value}\r\n`
  }
  return `${text}\r\n`
}

function isFraming(name: string): boolean {
  return name.length === 14 && name.toLowerCase() === 'content-length'
}
