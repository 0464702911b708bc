// What a person can do about a refusal, by its code. Advice only: it never suggests a way around the
// proxy, and for intended answers it names whose decision it is.
import type { ErrorCode } from '../errors.ts'
import { errorTable } from '../errors.ts'

const steps: Partial<Record<ErrorCode, string>> = {
  denied_by_rule: 'this is intended; if the rule is wrong, its file and line are above: change it, run `sallyport check`, and it is live within a second',
  not_allowed: 'if the host should be reachable, add it to allowed_domains in a file under policies/, or ask the admin to; `sallyport explain URL` shows the nearest rules',
  request_not_allowed: 'the host is open for some requests and not for this one; `sallyport explain URL --method METHOD` shows which',
  approval_unavailable: 'the policy wants a person to approve this; until approvals are open, an admin can allow the host in policies/',
  intercept_required: 'rules of this host look inside requests, which needs TLS to end here; a host-level rule would allow an opaque tunnel',
  port_denied: 'a rule that names host and port opens it, if that is wanted',
  ip_literal_denied: 'use the host name, or name the address in a rule',
  ip_denied: 'the name leads to a local or private address; a rule with `local` opens that on purpose',
  dns_mixed: 'the name has a forbidden address among its addresses; mend its DNS, or open the range with `local`',
  self: 'nothing: the proxy is no destination',
  name_budget_exceeded: 'many new names under one domain in a minute look like data leaving in DNS; wait, or list the names without a wildcard',
  network_disabled: 'the policy says enabled = false; an admin can change that',
  policy_unavailable: 'no valid policy is loaded: run `sallyport check`',
  reserved_destination: 'agents may not reach what the proxy itself reports to; `agent_telemetry` opens exact endpoints',
  name_mismatch: 'the client asked for one host and greeted another; look at what it really connects to',
  credentials_invalid: 'check the user name and password in HTTPS_PROXY',
  client_not_allowed: 'the setting `clients` lists who may connect',
  audit_unavailable: 'the journal cannot be written, see the operator log and the disk; service resumes by itself',
}

/** One sentence for a refusal with this code. */
export function nextStep(code: string): string {
  if (!isErrorCode(code)) return '`sallyport explain URL` shows how the policy answers now'
  const step = steps[code]
  if (step !== undefined) return step
  const { status, retryable } = errorTable[code]
  if (status === 502 || status === 504) return 'this is no policy: the destination or the way to it failed; try again, or look at the destination'
  if (status === 400 || status === 405 || status === 414 || status === 421) return 'the request itself was not acceptable; look at what the client sends'
  return retryable ? 'try again in a while' : '`sallyport explain URL` shows how the policy answers now'
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorTable, code)
}
