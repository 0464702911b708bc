// Every way a request can fail, in one table: code -> HTTP status, RFC 9209 error type, the value of
// x-proxy-error (Codex's set, where one fits), text that is safe to show an agent, and whether trying
// again can help. docs/errors.md is held to this table by a test. No code is ever given a new meaning.

export interface ErrorEntry {
  /** HTTP status of the refusal */
  readonly status: number
  /** `error` parameter of Proxy-Status, RFC 9209 section 2.3 */
  readonly proxyStatus: string
  /** value of `x-proxy-error`; absent for what is not a policy matter */
  readonly xProxyError?: string
  /** short text, lower case, no final stop */
  readonly text: string
  /** whether the same request can succeed later with nothing changed by its sender */
  readonly retryable: boolean
}

export const errorTable = {
  // policy: the answer is intended, 403
  denied_by_rule: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-denylist', text: 'denied by policy', retryable: false },
  not_allowed: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-allowlist', text: 'no rule allows this host', retryable: false },
  request_not_allowed: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-method-policy', text: 'no rule of this host allows this request', retryable: false },
  approval_unavailable: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-allowlist', text: 'this needs an approval and nobody is asked here', retryable: false },
  approval_required: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-allowlist', text: 'this needs an approval', retryable: true },
  approval_pending: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-allowlist', text: 'this waits for an approval', retryable: true },
  approval_denied: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'a reviewer refused this', retryable: false },
  approval_expired: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-allowlist', text: 'nobody answered the approval in time', retryable: true },
  approval_withdrawn: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-allowlist', text: 'the approval was withdrawn', retryable: true },
  approval_limit: { status: 429, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'this session has too many approvals open', retryable: true },
  approval_rate: { status: 429, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'this session asks for too many approvals in a minute', retryable: true },
  approval_queue_full: { status: 503, proxyStatus: 'http_request_denied', text: 'too many approvals are open', retryable: true },
  body_too_large_to_approve: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'the body is too large to be shown to a reviewer', retryable: false },
  session_ended: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'the session has ended', retryable: false },
  grant_ended: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'the approval for this has ended', retryable: true },
  cache_unavailable: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'only cached content may be read from this host and there is no cache here', retryable: false },
  web_fetch_disabled: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'web reading is disabled', retryable: false },
  provider_search_refused: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'the request asks the provider to read the web, which web reading does not allow', retryable: false },
  body_unreadable: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'the body has to be inspected and cannot be read', retryable: false },
  body_too_large_to_inspect: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'the body has to be inspected and is larger than 32 MiB', retryable: false },
  upgrade_not_allowed: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-method-policy', text: 'no rule of this host allows this upgrade', retryable: false },
  port_denied: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'this port is closed unless a rule names host and port', retryable: false },
  ip_literal_denied: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-allowlist', text: 'addresses are closed unless an address rule names them', retryable: false },
  network_disabled: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'the policy says enabled = false, so nothing is allowed', retryable: false },
  reserved_destination: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'the proxy itself reports to this destination, so agents may not reach it', retryable: false },
  policy_unavailable: { status: 403, proxyStatus: 'proxy_configuration_error', xProxyError: 'blocked-by-policy', text: 'no valid policy is loaded, so nothing is allowed', retryable: true },
  obligation_conflict: { status: 403, proxyStatus: 'proxy_configuration_error', xProxyError: 'blocked-by-policy', text: 'the rules of this host ask for things that exclude each other', retryable: false },
  content_not_allowed: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'no rule of this host allows this content', retryable: false },
  parent_forbidden: { status: 403, proxyStatus: 'proxy_configuration_error', xProxyError: 'blocked-by-policy', text: 'the policy forbids the parent proxy that process settings name, so nothing is allowed', retryable: false },
  // addresses: what a name turned out to be
  ip_denied: { status: 403, proxyStatus: 'destination_ip_prohibited', xProxyError: 'blocked-by-allowlist', text: 'the address is local, private, reserved or denied', retryable: false },
  dns_mixed: { status: 403, proxyStatus: 'destination_ip_prohibited', xProxyError: 'blocked-by-allowlist', text: 'the name answers with a forbidden address among others', retryable: false },
  self: { status: 403, proxyStatus: 'destination_ip_prohibited', xProxyError: 'blocked-by-policy', text: 'this is the proxy itself', retryable: false },
  name_budget_exceeded: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'too many new names under one domain in a minute', retryable: true },
  // tunnels: what the first bytes turned out to be; the 200 is already sent, so these close
  name_mismatch: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'the TLS server name is not the CONNECT host', retryable: false },
  sni_missing: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'the TLS hello names no server', retryable: false },
  not_tls: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'the tunnel does not start with a TLS hello', retryable: false },
  hello_malformed: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'the TLS hello cannot be parsed', retryable: false },
  hello_too_large: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'the TLS hello is larger than 16 KiB', retryable: false },
  hello_timeout: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'the tunnel did not start with a TLS hello in time', retryable: true },
  not_raw_protocol: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'the tunnel does not start as the rule of this host says', retryable: false },
  client_handshake_failed: { status: 403, proxyStatus: 'tls_alert_received', xProxyError: 'blocked-by-mitm-required', text: 'the client left within the TLS handshake with the proxy, or right after it', retryable: false },
  policy_changed: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'the policy changed and no longer allows this tunnel', retryable: false },
  // syntax and framing: nothing is guessed
  host_syntax: { status: 400, proxyStatus: 'http_request_error', text: 'the host is not valid', retryable: false },
  host_ambiguous_ip: { status: 400, proxyStatus: 'http_request_error', text: 'the host looks like an address and is not written as one', retryable: false },
  authority_syntax: { status: 400, proxyStatus: 'http_request_error', text: 'the authority is not host:port', retryable: false },
  target_syntax: { status: 400, proxyStatus: 'http_request_error', text: 'the request-target is not valid', retryable: false },
  path_ambiguous: { status: 400, proxyStatus: 'http_request_error', text: 'the path can be read in more than one way and a path rule governs this host', retryable: false },
  scheme_unsupported: { status: 400, proxyStatus: 'http_request_error', text: 'only http:// is proxied in absolute-form; use CONNECT for https', retryable: false },
  host_mismatch: { status: 400, proxyStatus: 'http_request_error', text: 'the Host field is missing, repeated or not the authority of the request', retryable: false },
  misdirected: { status: 421, proxyStatus: 'http_request_error', text: 'the Host field is not the authority of this connection', retryable: false },
  framing: { status: 400, proxyStatus: 'http_request_error', text: 'the message framing is ambiguous', retryable: false },
  field_syntax: { status: 400, proxyStatus: 'http_request_error', text: 'a field of the request is not valid', retryable: false },
  pipelined: { status: 400, proxyStatus: 'http_request_error', text: 'this may not follow requests that are still unanswered', retryable: false },
  not_a_proxy_request: { status: 400, proxyStatus: 'http_request_error', text: 'this is a proxy: send CONNECT host:port or an absolute URL', retryable: false },
  method_not_supported: { status: 405, proxyStatus: 'http_request_error', text: 'this method is not proxied', retryable: false },
  uri_too_long: { status: 414, proxyStatus: 'http_request_error', text: 'the URL is too long', retryable: false },
  expectation_failed: { status: 417, proxyStatus: 'http_request_error', text: 'only Expect: 100-continue is known', retryable: false },
  upgrade_unsupported: { status: 400, proxyStatus: 'http_request_error', text: 'the only upgrade that is proxied is websocket', retryable: false },
  fields_too_large: { status: 431, proxyStatus: 'http_request_error', text: 'the fields are too many or too large', retryable: false },
  request_timeout: { status: 408, proxyStatus: 'http_request_error', text: 'the request did not arrive in time', retryable: true },
  version_unsupported: { status: 505, proxyStatus: 'http_request_error', text: 'only HTTP/1.0 and HTTP/1.1 are spoken here', retryable: false },
  loop_detected: { status: 508, proxyStatus: 'proxy_loop_detected', text: 'the request has been here before', retryable: false },
  credentials_required: { status: 407, proxyStatus: 'http_request_denied', text: 'this proxy is used with the credentials of a session', retryable: false },
  credentials_invalid: { status: 407, proxyStatus: 'http_request_denied', text: 'the proxy credentials are not valid here', retryable: false },
  client_not_allowed: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'this client address may not use this proxy', retryable: false },
  // the fetch service of the proxy itself
  fetch_syntax: { status: 400, proxyStatus: 'http_request_error', text: 'the question to /fetch is not valid', retryable: false },
  fetch_from_browser: { status: 403, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'the fetch service does not answer web pages', retryable: false },
  fetch_format: { status: 406, proxyStatus: 'http_request_error', text: 'this cannot be given as text', retryable: false },
  fetch_redirects: { status: 502, proxyStatus: 'http_protocol_error', text: 'the redirects of this cannot be followed', retryable: false },
  fetch_too_large: { status: 502, proxyStatus: 'http_response_body_size', text: 'this is larger than may be fetched', retryable: false },
  fetch_busy: { status: 503, proxyStatus: 'connection_limit_reached', text: 'too many pages wait to be turned into text', retryable: true },
  // the web cache: nothing was asked of anybody
  cache_miss: { status: 504, proxyStatus: 'http_request_denied', xProxyError: 'blocked-by-policy', text: 'only cached content may be read from this host, and this is not in the cache', retryable: false },
  cache_failed: { status: 503, proxyStatus: 'proxy_internal_error', text: 'the web cache cannot be read or written', retryable: true },
  only_if_cached: { status: 504, proxyStatus: 'http_request_denied', text: 'the request takes a kept answer alone (only-if-cached), and there is none for it', retryable: false },
  // limits and our own faults
  too_many_connections: { status: 503, proxyStatus: 'connection_limit_reached', text: 'this client has too many connections open', retryable: true },
  out_of_descriptors: { status: 503, proxyStatus: 'connection_limit_reached', text: 'the proxy has no room for another connection', retryable: true },
  inspection_busy: { status: 503, proxyStatus: 'connection_limit_reached', text: 'too many bodies are being inspected', retryable: true },
  ca_unavailable: { status: 503, proxyStatus: 'proxy_internal_error', text: 'the certificate authority that looking inside TLS needs is not usable', retryable: true },
  credential_unavailable: { status: 503, proxyStatus: 'proxy_configuration_error', text: 'the credential that a rule adds cannot be read, so nothing is sent', retryable: true },
  audit_unavailable: { status: 503, proxyStatus: 'proxy_internal_error', text: 'the decision cannot be recorded, so nothing is allowed', retryable: true },
  draining: { status: 503, proxyStatus: 'destination_unavailable', text: 'the proxy is shutting down', retryable: true },
  internal_error: { status: 500, proxyStatus: 'proxy_internal_error', text: 'the proxy failed on this request', retryable: true },
  // the origin's faults, never reported as policy
  dns_not_found: { status: 502, proxyStatus: 'dns_error', text: 'the name does not exist', retryable: true },
  dns_no_address: { status: 502, proxyStatus: 'dns_error', text: 'the name has no address', retryable: true },
  dns_failed: { status: 502, proxyStatus: 'dns_error', text: 'the name server could not answer', retryable: true },
  dns_timeout: { status: 504, proxyStatus: 'dns_timeout', text: 'no name server answered in time', retryable: true },
  connection_refused: { status: 502, proxyStatus: 'connection_refused', text: 'the destination refused the connection', retryable: true },
  connection_reset: { status: 502, proxyStatus: 'connection_terminated', text: 'the destination closed the connection', retryable: true },
  connection_timeout: { status: 504, proxyStatus: 'connection_timeout', text: 'the destination did not accept the connection in time', retryable: true },
  destination_unroutable: { status: 502, proxyStatus: 'destination_ip_unroutable', text: 'there is no route to the destination', retryable: true },
  tls_handshake_failed: { status: 502, proxyStatus: 'tls_protocol_error', text: 'the TLS handshake with the destination failed', retryable: true },
  tls_certificate_expired: { status: 502, proxyStatus: 'tls_certificate_error', text: 'the certificate of the destination has expired', retryable: true },
  tls_certificate_not_yet_valid: { status: 502, proxyStatus: 'tls_certificate_error', text: 'the certificate of the destination is not valid yet', retryable: true },
  tls_certificate_untrusted: { status: 502, proxyStatus: 'tls_certificate_error', text: 'the certificate of the destination does not lead to a trusted root', retryable: true },
  tls_certificate_name: { status: 502, proxyStatus: 'tls_certificate_error', text: 'the certificate of the destination is for other names', retryable: true },
  tls_certificate_revoked: { status: 502, proxyStatus: 'tls_certificate_error', text: 'the certificate of the destination is revoked', retryable: true },
  tls_certificate_weak: { status: 502, proxyStatus: 'tls_certificate_error', text: 'the key of the certificate of the destination is too weak', retryable: true },
  tls_certificate_invalid: { status: 502, proxyStatus: 'tls_certificate_error', text: 'the certificate of the destination is not one for a server', retryable: true },
  origin_protocol_error: { status: 502, proxyStatus: 'http_protocol_error', text: 'the origin did not answer in valid HTTP', retryable: true },
  origin_incomplete: { status: 502, proxyStatus: 'http_response_incomplete', text: 'the origin broke off its answer', retryable: true },
  origin_timeout: { status: 504, proxyStatus: 'http_response_timeout', text: 'the origin did not answer in time', retryable: true },
  parent_refused: { status: 502, proxyStatus: 'proxy_configuration_error', text: 'the parent proxy refused the connection', retryable: true },
  parent_unreachable: { status: 502, proxyStatus: 'destination_unavailable', text: 'the parent proxy cannot be reached', retryable: true },
} as const satisfies Record<string, ErrorEntry>

export type ErrorCode = keyof typeof errorTable

/** A fault, or a refusal raised by a parser. Match on `code`, never on the message. */
export class ProxyError extends Error {
  readonly code: ErrorCode
  /** what exactly was wrong, for the journal and the operator log; never sent to a client unescaped */
  readonly detail: string

  constructor(code: ErrorCode, detail: string, options?: { readonly cause?: unknown }) {
    super(`${errorTable[code].text}: ${detail}`, options)
    this.name = 'ProxyError'
    this.code = code
    this.detail = detail
  }
}

/** The table's entry, typed as the interface so that optional members can be read. */
export function errorEntry(code: ErrorCode): ErrorEntry {
  return errorTable[code]
}
