// Whose request this is: the session whose own socket it came by, the session that its credentials are of, the
// session of the tunnel it is in, or the anonymous local agent while that one exists. Credentials that are shown
// and wrong are never passed over.
import { ProxyError } from '../errors.ts'
import type { Session } from '../approvals/session.ts'
import type { Principal } from '../policy/facts.ts'
import type { ClientConnection } from './client-connections.ts'
import { anonymous, type IngressContext } from './context.ts'
import { parseCredentials } from './credentials.ts'

// so often a connection that shows the same again is noted as a use of them
const verifyAgainMs = 10_000

/** `credentials`: what stands in Proxy-Authorization, one for each such field. Throws ProxyError
 * `credentials_invalid` or `credentials_required`. */
export function identify(credentials: readonly string[], connection: ClientConnection, context: Pick<IngressContext, 'sessions' | 'clock'>): Principal {
  const { sessions } = context
  const bound = connection.bound?.exchange.facts.principal
  if (credentials.length > 0) {
    const { principal } = verified(credentials, connection, context)
    if (connection.session !== undefined && connection.session !== principal.session) throw new ProxyError('credentials_invalid', 'they are not those of the session whose socket this is')
    if (bound !== undefined && bound.session !== principal.session) throw new ProxyError('credentials_invalid', 'they are not those of the tunnel')
    return principal
  }
  if (connection.session !== undefined) {
    const arrived = sessions.arrived(connection.session)
    if (arrived === undefined) throw new ProxyError('credentials_invalid', 'the session whose socket this is has ended')
    return arrived.principal
  }
  if (bound !== undefined && bound !== anonymous) {
    if (sessions.live(bound.session) === undefined) throw new ProxyError('credentials_invalid', 'the session of the tunnel has ended')
    return bound
  }
  if (sessions.credentialsNeeded()) throw new ProxyError('credentials_required', '')
  return anonymous
}

/** The session must be live at every request; its token is hashed once for a connection and a while. */
function verified(credentials: readonly string[], connection: ClientConnection, { sessions, clock }: Pick<IngressContext, 'sessions' | 'clock'>): Session {
  const last = connection.verified
  const nowMs = clock.monotonic()
  if (last !== undefined && credentials.length === 1 && credentials[0] === last.value && nowMs - last.atMs < verifyAgainMs) {
    const session = sessions.live(last.session)
    if (session !== undefined) return session
  }
  connection.verified = undefined
  const parsed = parseCredentials(credentials)
  if (parsed === undefined) throw new ProxyError('credentials_invalid', 'they are not one pair of a session and its token')
  const session = sessions.authenticate(parsed.user, parsed.password, { address: connection.client.address, uid: connection.uid })
  if (session === undefined) throw new ProxyError('credentials_invalid', 'no live session has them')
  const [value = ''] = credentials
  connection.verified = { value, session: session.id, atMs: nowMs }
  return session
}
