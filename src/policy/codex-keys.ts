// Every network key that Codex knows, and what becomes of it here. docs/policy.md is held to this table by
// a test; the schema reads the types and the notices from it. A key that would open or hide something if
// it were ignored is never ignored.

export type KeyType = 'boolean' | 'string' | 'port' | 'strings' | 'table' | 'tables' | 'verdicts'

export interface CodexKey {
  readonly key: string
  readonly type: KeyType
  /** `ignored`: a notice says so; `refused`: an error */
  readonly handling: 'enforced' | 'ignored' | 'refused'
  /** what it does here, or why not; lower case, no final stop */
  readonly here: string
  /** a value that asks for nothing and so is neither told of nor refused */
  readonly harmless?: boolean | 'empty'
}

export const codexKeys: readonly CodexKey[] = [
  { key: 'enabled', type: 'boolean', handling: 'enforced', here: '`false` denies everything; it never means open' },
  { key: 'mode', type: 'string', handling: 'enforced', here: '`full`; `limited`: what only a host pattern allows is GET, HEAD and OPTIONS, and methods of a rule win; `enforce` and `monitor` are ours' },
  { key: 'domains', type: 'verdicts', handling: 'enforced', here: 'pattern to `allow` or `deny`; not together with the lists; a written port means all ports' },
  { key: 'allowed_domains', type: 'strings', handling: 'enforced', here: 'the list of allows; a written port means all ports' },
  { key: 'denied_domains', type: 'strings', handling: 'enforced', here: 'the list of denies, on every port and whatever a layer above says' },
  { key: 'review_domains', type: 'strings', handling: 'enforced', here: 'always asks, even if also allowed' },
  { key: 'managed_allowed_domains_only', type: 'boolean', handling: 'enforced', here: 'allows of other layers are dropped, and a miss is a final deny' },
  { key: 'allow_local_binding', type: 'boolean', handling: 'enforced', here: 'opens local and private addresses to what is allowed, while every listener is on loopback; `false` in any layer wins' },
  { key: 'allow_upstream_proxy', type: 'boolean', handling: 'enforced', here: '`false` in any layer forbids the parent proxy of `sallyport.toml`' },
  { key: 'http_port', type: 'port', handling: 'ignored', here: 'listeners are set in `sallyport.toml` or by `--listen`' },
  { key: 'proxy_url', type: 'string', handling: 'ignored', here: 'listeners are set in `sallyport.toml` or by `--listen`' },
  { key: 'socks_port', type: 'port', handling: 'ignored', here: 'SOCKS is not spoken here' },
  { key: 'socks_url', type: 'string', handling: 'ignored', here: 'SOCKS is not spoken here' },
  { key: 'enable_socks5', type: 'boolean', handling: 'ignored', here: 'SOCKS is not spoken here', harmless: false },
  { key: 'enable_socks5_udp', type: 'boolean', handling: 'ignored', here: 'SOCKS is not spoken here', harmless: false },
  { key: 'dangerously_allow_non_loopback_proxy', type: 'boolean', handling: 'ignored', here: 'a listener off loopback is set in `sallyport.toml` and needs `clients` or `require_session`', harmless: false },
  { key: 'dangerously_allow_all_unix_sockets', type: 'boolean', handling: 'ignored', here: 'unix sockets are not proxied here, so none is open', harmless: false },
  { key: 'unix_sockets', type: 'table', handling: 'ignored', here: 'unix sockets are not proxied here, so none is open', harmless: 'empty' },
  { key: 'allow_unix_sockets', type: 'strings', handling: 'ignored', here: 'unix sockets are not proxied here, so none is open', harmless: 'empty' },
  { key: 'header_injections', type: 'tables', handling: 'enforced', here: 'sets the fields on what it matches, and opens and closes nothing; `path_prefixes` are text, and wildcards in them an error' },
  { key: 'mitm', type: 'boolean', handling: 'ignored', here: 'a host is intercepted where a rule looks inside its requests', harmless: false },
  { key: 'mitm_ca', type: 'table', handling: 'ignored', here: 'the certificate authority is in the folder `certs`', harmless: 'empty' },
  { key: 'mitm_hooks', type: 'tables', handling: 'refused', here: 'hooks close their hosts and hold where secrets come from: write `[[network.rules]]` with `methods`, `paths`, `query`, `headers`, `strip_headers` and `credential`', harmless: 'empty' },
  { key: 'credential_broker', type: 'boolean', handling: 'refused', here: 'credentials would reach the agent unmasked: write `[credentials.NAME]` in `sallyport.toml` and `credential` in a rule', harmless: false },
  { key: 'credential_providers', type: 'table', handling: 'refused', here: 'credentials would reach the agent unmasked: write `[credentials.NAME]` in `sallyport.toml` and `credential` in a rule', harmless: 'empty' },
  { key: 'dangerously_allow_plaintext_credential_injection', type: 'boolean', handling: 'ignored', here: 'no credential is put into a request over plain http', harmless: false },
  { key: 'danger_full_access_denylist_only', type: 'boolean', handling: 'refused', here: 'a list of denies alone is no boundary: write `unknown = "allow"` if that is what you mean', harmless: false },
]

/** Top-level keys of Codex's file that are read here, beside the table of network keys. */
export const codexTopLevelKeys: readonly CodexKey[] = [
  { key: 'allowed_web_search_modes', type: 'strings', handling: 'enforced', here: 'a ceiling on `[web_fetch]`; `disabled` is always among them' },
  { key: 'network_proxy', type: 'table', handling: 'refused', here: 'write `[network]` or `[experimental_network]`' },
]
