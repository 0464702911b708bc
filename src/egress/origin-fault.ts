// What went wrong on the way to an origin, as a code of the error table. Reads the codes of undici and
// of the system, never their messages. Must never turn an origin's fault into a policy answer.
import { errors } from 'undici'
import { ProxyError } from '../errors.ts'
import { StaleConnection } from './origin-connection.ts'
import { isTlsAlert, isTlsFault } from './tls-faults.ts'

const connectionCodes: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ETIMEDOUT', 'ENOTCONN', 'UND_ERR_SOCKET'])

/** True for the loss of a connection, or of the TLS on it, as against something wrong that came over it. */
export function isConnectionFault(error: Error): boolean {
  return connectionCodes.has(codeOf(error)) || isTlsFault(error)
}

/** `answered`: the origin had begun an answer; `headPassed`: its head went on to the client. */
export function originFault(error: unknown, answered: boolean, headPassed: boolean): ProxyError {
  if (error instanceof ProxyError) return error
  if (!(error instanceof Error)) return new ProxyError('internal_error', String(error))
  const cause = { cause: error }
  const code = codeOf(error)
  if (error instanceof StaleConnection) return new ProxyError('connection_reset', error.message, cause)
  if (error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError) {
    return new ProxyError('origin_timeout', error.message, cause)
  }
  if (error instanceof errors.HTTPParserError || error instanceof errors.ResponseContentLengthMismatchError) {
    // the parser's error at the end of the stream points at no byte
    const data: unknown = Reflect.get(error, 'data')
    const atEnd = typeof data !== 'string' || data === ''
    return new ProxyError(headPassed && atEnd ? 'origin_incomplete' : 'origin_protocol_error', error.message, cause)
  }
  if (error instanceof errors.HeadersOverflowError) return new ProxyError('origin_protocol_error', error.message, cause)
  if (connectionCodes.has(code)) {
    if (headPassed) return new ProxyError('origin_incomplete', error.message, cause)
    return new ProxyError(answered ? 'origin_protocol_error' : 'connection_reset', error.message, cause)
  }
  if (isTlsFault(error)) {
    if (headPassed) return new ProxyError('origin_incomplete', error.message, cause)
    return new ProxyError(isTlsAlert(error) && !answered ? 'tls_handshake_failed' : 'origin_protocol_error', `${code}: ${error.message}`, cause)
  }
  return new ProxyError('internal_error', error.message, cause)
}

function codeOf(error: Error): string {
  const code: unknown = Reflect.get(error, 'code')
  return typeof code === 'string' ? code : ''
}
