// What a person can do about a refusal, by its code and what it was about. Advice only: it never suggests a
// way around the proxy, and for intended answers it names whose decision it is.
import type { ErrorCode } from '../errors.ts'
import { errorTable } from '../errors.ts'
import { classifyAddress, parseIp } from '../target/address.ts'
import { uriHost } from '../target/host.ts'

/** What a refusal was about, as far as its record says; everything is safe to print. */
export interface Refused {
  /** without brackets */
  readonly host?: string | undefined
  readonly port?: string | undefined
  readonly rule?: { readonly id: string; readonly file: string; readonly line: string } | undefined
  /** id of the question that a reviewer was asked */
  readonly approval?: string | undefined
  /** the question is about a page that is not in the web cache */
  readonly isPage?: boolean
}

const steps: Partial<Record<ErrorCode, string>> = {
  denied_by_rule: 'this is intended; if the rule is wrong, its file and line are above: change it, run `sallyport check`, and it is live within a second',
  request_not_allowed: 'the host is open for some requests and not for this one; `sallyport explain URL --method METHOD`, with the whole query and the fields (`--header`), shows which rule nearly matched',
  content_not_allowed: '`sallyport explain URL --method METHOD --content-type TYPE --content-length BYTES` shows what content the rules allow',
  upgrade_not_allowed: '`sallyport explain URL --upgrade websocket` shows which rule allows a WebSocket, and where',
  tls_certificate_untrusted: 'where the root of the destination is one to be trusted, name its file with `origin_ca` in the rule of this host',
  port_denied: 'a rule that names host and port opens it, if that is wanted',
  ip_denied: 'the name leads to a local or private address; a rule with `local` opens that on purpose',
  dns_mixed: 'the name has a forbidden address among its addresses; mend its DNS, or open the range with `local`',
  self: 'nothing: the proxy is no destination',
  name_budget_exceeded: 'many new names under one domain in a minute look like data leaving in DNS; wait, or list the names without a wildcard; `limits.new_names_per_minute` or a `[[network.limits]]` of the policy sets the number',
  cache_miss: 'have it put there: `sallyport cache add URL`; with `on_miss = "ask"` under `[web_fetch]` of the policy reviewers are asked about each page',
  cache_failed: 'the cache could not be read or written: the operator log and the disk say more',
  cache_unavailable: 'the policy has this read from the web cache, and the settings say that there is none: `cache.enabled`',
  web_fetch_disabled: 'this is intended; the mode is under `[web_fetch]` of the policy, its ceiling is `allowed_web_search_modes`',
  approval_expired: 'nobody answered in time: ask again while someone has `sallyport approvals watch` open',
  approval_withdrawn: 'the policy changed or the session ended while it waited: ask again',
  approval_limit: 'answer what is open first: `sallyport approvals list`, or wait until it expires; `approvals.per_session` or a `[[network.limits]]` of the policy sets the number',
  approval_rate: 'too many different hosts in a minute; answer those that count: `sallyport approvals list`; `approvals.per_session_per_minute` or a `[[network.limits]]` of the policy sets the number',
  approval_queue_full: 'answer what is open first: `sallyport approvals list`',
  session_ended: '`sallyport sessions create --agent NAME` begins another',
  grant_ended: 'ask again: what was approved has ended or was revoked; `sallyport grants list` shows what is in force',
  credentials_required: '`sallyport sessions create --agent NAME` prints the HTTPS_PROXY that holds them',
  network_disabled: 'the policy says enabled = false; an admin can change that',
  policy_unavailable: 'the policy was lost while the proxy ran: run `sallyport check`, and look at the operator log',
  reserved_destination: 'agents may not reach what the proxy itself reports to; `agent_telemetry` opens exact endpoints',
  client_handshake_failed: 'the client does not trust the root of the proxy, or left: run it with `sallyport run -- COMMAND`, or give it what `sallyport ca export` prints (docs/ca.md)',
  ca_unavailable: '`sallyport ca show` says what is wrong with the root and which hosts it signs for; for others `sallyport ca rotate` makes a new one, which clients have to be given',
  credential_unavailable: 'the credential that a rule adds cannot be read; the operator log names it',
  name_mismatch: 'the client asked for one host and greeted another; look at what it really connects to',
  credentials_invalid: 'check the user name and password in HTTPS_PROXY; `sallyport sessions list` shows whether the session has ended',
  client_not_allowed: 'the setting `clients` lists who may connect',
  audit_unavailable: 'the journal cannot be written, see the operator log and the disk; service resumes by itself',
}

/** The settings that answer where no rule does. */
const settingIds: readonly string[] = ['unknown', 'ip_literals', 'managed_allowed_domains_only']

/** One sentence for a refusal with this code. */
export function nextStep(code: string, refused: Refused = {}): string {
  if (!isErrorCode(code)) return '`sallyport explain URL` shows how the policy answers now'
  const step = stepFor(code, refused) ?? steps[code]
  if (step !== undefined) return step
  const { status, retryable } = errorTable[code]
  if (status === 502 || status === 504) return 'the policy allowed this; the destination failed: try again, or look at the destination'
  if (status === 400 || status === 405 || status === 414 || status === 421) return 'the request itself was not acceptable; look at what the client sends'
  return retryable ? 'try again in a while' : '`sallyport explain URL` shows how the policy answers now'
}

/** The steps that name the host, the rule and the line to paste. */
function stepFor(code: ErrorCode, refused: Refused): string | undefined {
  switch (code) {
    case 'approval_required':
    case 'approval_pending':
      return answerStep(refused)
    case 'approval_denied':
      return refused.approval === undefined ? 'a reviewer said no: `sallyport approvals list --state denied` says who and why' : `a reviewer said no: \`sallyport approvals show ${refused.approval}\` says who and why`
    case 'not_allowed':
    case 'approval_unavailable':
      return openStep(refused)
    case 'ip_denied':
      return addressOf(refused) === undefined ? undefined : addressStep(refused)
    case 'ip_literal_denied':
      return addressStep(refused)
    default:
      return undefined
  }
}

/** The question is asked: the command that answers it. A rule would keep it from being asked again. */
function answerStep(refused: Refused): string {
  const { approval, isPage = false } = refused
  if (isPage && approval !== undefined) {
    return `a reviewer answers this: \`sallyport approvals allow ${approval} --fetch\` has the page fetched into the cache, without \`--fetch\` the host is read live, \`sallyport approvals deny ${approval}\` says no; \`sallyport approvals show ${approval}\` shows the whole URL`
  }
  const about = approval ?? pattern(refused)
  const more = approval === undefined ? '' : `; \`sallyport approvals show ${approval}\` tells more`
  return `a reviewer answers this: \`sallyport approvals allow ${about}\` or \`sallyport approvals deny ${about}\`, then the client tries again${more}`
}

function openStep(refused: Refused): string {
  const { host = 'HOST', rule } = refused
  if (addressOf(refused) !== undefined) return addressStep(refused)
  if (rule?.id === 'managed_allowed_domains_only') return `only the managed file opens hosts: its owner can add \`"${pattern(refused)}"\` to its allowed_domains (${placeOf(rule)})`
  if (rule?.id === 'review_domains') return `whatever allows it, ${host} is on the review list until its entry at ${placeOf(rule)} goes`
  if (rule !== undefined && !settingIds.includes(rule.id)) return `rule ${rule.id} at ${placeOf(rule)} says ask or closes the host; if agents may reach it without asking, write \`allow\` there`
  return `if agents may reach it, put the line \`network.allowed_domains = ["${pattern(refused)}"]\` into a new file ${newFile(rule)}, or the name into a list that is there; it is live within a second`
}

/** Beside the file that answered, unless that is not in a policy folder. */
function newFile(rule: Refused['rule']): string {
  const folder = rule === undefined || rule.line === '0' || rule.file.endsWith('requirements.toml') ? 'policies/' : rule.file.slice(0, rule.file.lastIndexOf('/') + 1)
  return `${folder}50-allowed.toml`
}

function addressStep(refused: Refused): string {
  const ip = addressOf(refused)
  if (ip !== undefined && classifyAddress(ip) === 'translated') return 'use the address that it stands for'
  return `use the host name, or, if agents may reach the address itself, name it in a rule that allows it: \`hosts = ["${pattern(refused)}"]\``
}

function addressOf({ host = '' }: Refused) {
  return parseIp(host)
}

/** A host pattern for host and port; the usual ports need not be written, except of an address. */
function pattern(refused: Refused): string {
  const { host = 'HOST', port } = refused
  const isAddress = addressOf(refused) !== undefined
  const shown = uriHost(host)
  return port === undefined || (!isAddress && (port === '443' || port === '80')) ? shown : `${shown}:${port}`
}

function placeOf({ file, line }: NonNullable<Refused['rule']>): string {
  return line === '0' ? file : `${file}:${line}`
}

export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorTable, code)
}
