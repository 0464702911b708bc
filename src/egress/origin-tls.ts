// TLS to an origin on a socket that is connected already. The name that was decided on is the name that is
// asked for and the name the certificate must carry; what node would let pass is checked again here. Must
// never dial, never resume a session of another pool, and hand out no socket before every check has passed.
import { constants, type X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { connect as connectTls, createSecureContext, getCACertificates } from 'node:tls'
import type { SecureContext, TLSSocket } from 'node:tls'
import { LRUCache } from 'lru-cache'
import { ProxyError } from '../errors.ts'
import type { Deadlines } from '../deadlines.ts'
import type { OriginTrust } from '../policy/decision.ts'
import type { Host } from '../target/host.ts'
import { quoted } from '../target/quoted.ts'
import type { Abandonment } from './abandonment.ts'
import { checkCertificate } from './certificate-checks.ts'
import type { ReadPem } from './pem-files.ts'
import type { RevocationLists } from './revocation-lists.ts'
import { readTrusted, revokedIn, type TrustedCertificates } from './revocation.ts'
import { tlsFault } from './tls-faults.ts'

/** Names of application protocols (RFC 7301), the preferred one first. */
export type Alpn = readonly ('h2' | 'http/1.1')[]

/** How TLS is spoken to one origin. */
export interface TlsRequest {
  readonly alpn: Alpn
  /** undefined: the usual roots */
  readonly trust: OriginTrust | undefined
}

export interface OriginTlsOptions {
  /** of the files that rules name as further roots */
  readonly readPem: ReadPem
  /** called for each connection whose certificate nobody judged, because a rule says so */
  readonly onInsecure: (host: string) => void
  /** what authorities have taken back */
  readonly revocations: RevocationLists
  readonly deadlines: Deadlines
}

export interface StartTls extends TlsRequest {
  /** what SNI carries, unless it is an address, and what the certificate must be for */
  readonly host: Host
  /** `ms` for the handshake */
  readonly timeoutMs: number
  /** the client is gone: the handshake stops, with connection_reset */
  readonly abandonment?: Abandonment | undefined
}

// each holds some hundred parsed roots where further ones are trusted
const maxContexts = 32
/** What a handshake trusts. */
interface Context {
  readonly secure: SecureContext
  /** of the further roots */
  readonly pems: readonly string[]
  /** read with the first chain that a revocation list may be about */
  trusted: TrustedCertificates | undefined
}

const usual: OriginTrust = { insecure: false, caFiles: [] }

export class OriginTls {
  readonly #options: OriginTlsOptions
  readonly #contexts = new LRUCache<string, Context>({ max: maxContexts })

  constructor(options: OriginTlsOptions) {
    this.#options = options
  }

  /** Shakes hands on `socket`, which is destroyed when that fails. Throws ProxyError tls_*, connection_reset. */
  async start(socket: Socket, request: StartTls): Promise<TLSSocket> {
    const { host, trust = usual } = request
    try {
      const context = this.#contextOf(trust, host)
      if (trust.insecure) this.#options.onInsecure(host.text)
      const secure = await this.#handshake(socket, context.secure, request)
      if (trust.insecure) return secure
      const refused = this.#checkPeer(secure, host, context)
      if (refused === undefined) return secure
      secure.destroy()
      throw refused
    } catch (error) {
      socket.destroy()
      throw tlsFault(host.text, error)
    }
  }

  #handshake(socket: Socket, secureContext: SecureContext, request: StartTls): Promise<TLSSocket> {
    const { host, alpn, trust = usual, timeoutMs, abandonment } = request
    const { deadlines } = this.#options
    const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>()
    // TLS takes it over from the socket; who relays a half-close asks for it again
    socket.allowHalfOpen = false
    const secure = connectTls({
      socket,
      secureContext,
      // SNI carries names only (RFC 6066 section 3)
      ...(host.kind === 'name' ? { servername: host.text } : {}),
      ALPNProtocols: [...alpn],
      rejectUnauthorized: !trust.insecure,
      // ours is stricter and comes after
      checkServerIdentity: () => undefined,
    })
    // node makes an object of every certificate of the chain for the check that is ours
    Reflect.set(secure, 'getPeerCertificate', noCertificate)
    const fail = (error: unknown): void => {
      reject(error)
      secure.destroy()
    }
    // stays for good: an error between here and the next owner's listener must not end the process
    secure.on('error', fail)
    const closed = (): void => fail(new ProxyError('tls_handshake_failed', `${host.text}: closed within the handshake`))
    const deadline = deadlines.in(timeoutMs, () => fail(new ProxyError('tls_handshake_failed', `${host.text}: no handshake within ${timeoutMs} ms`)))
    const abandon = (): void => fail(new ProxyError('connection_reset', 'given up before TLS stood'))
    secure.once('close', closed)
    secure.once('secureConnect', () => {
      if (isOffered(secure.alpnProtocol, alpn)) resolve(secure)
      else fail(new ProxyError('tls_handshake_failed', `${host.text}: the origin chose the protocol ${quoted(String(secure.alpnProtocol))}, which was not offered`))
    })
    abandonment?.listen(abandon)
    if (abandonment?.isAbandoned === true) abandon()
    else if (socket.destroyed) closed()
    return promise.finally(() => {
      deadlines.cancel(deadline)
      abandonment?.listen(undefined)
      secure.off('close', closed)
    })
  }

  /** Throws ProxyError tls_certificate_untrusted when the file of a further root cannot be used. */
  #contextOf({ caFiles }: OriginTrust, host: Host): Context {
    const further = caFiles.map((path) => this.#read(path, host))
    const key = further.map(({ path, stamp }) => `${path}\n${stamp}`).join('\n')
    const known = this.#contexts.get(key)
    if (known !== undefined) return known
    const pems = further.map(({ pem }) => pem)
    const secure = createSecureContext({
      minVersion: 'TLSv1.2',
      // who was judged is who is spoken to; disableRenegotiation() is of a server's sockets only (Node 26.10)
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
      ...(pems.length === 0 ? {} : { ca: [...getCACertificates('default'), ...pems] }),
    })
    const made: Context = { secure, pems, trusted: undefined }
    this.#contexts.set(key, made)
    return made
  }

  #checkPeer(secure: TLSSocket, host: Host, context: Context): ProxyError | undefined {
    const leaf = secure.getPeerX509Certificate()
    if (leaf === undefined || !secure.authorized) return new ProxyError('tls_certificate_untrusted', `${host.text}: no certificate that was verified`)
    return checkCertificate(leaf, host) ?? this.#checkRevoked(leaf, host, context)
  }

  #checkRevoked(leaf: X509Certificate, host: Host, context: Context): ProxyError | undefined {
    const { revocations } = this.#options
    if (revocations.isEmpty) return undefined
    context.trusted ??= readTrusted([...getCACertificates('default'), ...context.pems])
    const revoked = revokedIn(leaf, context.trusted, revocations)
    if (revoked === undefined) return undefined
    return new ProxyError('tls_certificate_revoked', `${host.text}: the certificate with the serial number ${revoked.serial} is on the revocation list ${quoted(revoked.path)}`)
  }

  #read(path: string, host: Host): { readonly path: string; readonly pem: string; readonly stamp: string } {
    try {
      return { path, ...this.#options.readPem(path) }
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      throw new ProxyError('tls_certificate_untrusted', `${host.text}: the CA file ${quoted(path)} cannot be used: ${quoted(why)}`, { cause: error })
    }
  }
}

function noCertificate(): object {
  return {}
}

/** RFC 7301 section 3.1; an origin that knows nothing of ALPN chooses nothing. */
function isOffered(chosen: string | false | null, alpn: Alpn): boolean {
  return typeof chosen !== 'string' || alpn.some((name) => name === chosen)
}
