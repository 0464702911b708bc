// Both families of one name, side by side, made into one result. One family is enough: an answer with
// addresses never waits long for the other family, and never fails because the other one did.
import type { ErrorCode } from '../errors.ts'
import type { IpAddress } from '../target/address.ts'
import type { AskSettings, DnsClient, Outcome } from './dns-client.ts'
import type { RecordType } from './dns-message.ts'

export type LookUpResult =
  | { readonly ok: true; readonly addresses: readonly IpAddress[]; readonly chain: readonly string[]; readonly ttlMs: number }
  /** `ttlMs` is there when the name servers said how long their "no" holds */
  | { readonly ok: false; readonly code: ErrorCode; readonly detail: string; readonly ttlMs?: number }

// RFC 8305 section 3 gives the second answer 50 ms; a host with broken IPv6 needs IPv4 more than it needs speed
const waitForAaaaMs = 100
const waitForAMs = 1000
// an answer without the family that was too slow is not the whole truth for long
const partialTtlMs = 5000

export async function lookUp(client: DnsClient, name: string, settings: AskSettings, closed: AbortSignal): Promise<LookUpResult> {
  const stop = new AbortController()
  const abandon = (): void => stop.abort()
  closed.addEventListener('abort', abandon)
  const grace = Promise.withResolvers<void>()
  let timer: NodeJS.Timeout | undefined
  const found: { A?: Outcome; AAAA?: Outcome } = {}
  const ask = async (type: RecordType, waitForOtherMs: number): Promise<void> => {
    const outcome = await client.ask(name, type, settings, stop.signal)
    found[type] = outcome
    if (isConclusive(outcome)) timer ??= setTimeout(grace.resolve, waitForOtherMs)
  }
  try {
    await Promise.race([Promise.all([ask('A', waitForAaaaMs), ask('AAAA', waitForAMs)]), grace.promise])
    return merge(found.A, found.AAAA)
  } finally {
    clearTimeout(timer)
    closed.removeEventListener('abort', abandon)
    abandon()
  }
}

/** NXDOMAIN too: it is about the name. But some servers say it of the family only (RFC 4074), hence the grace. */
function isConclusive(outcome: Outcome): boolean {
  return outcome.kind === 'not_found' || (outcome.kind === 'answer' && outcome.addresses.length > 0)
}

function merge(a: Outcome | undefined, aaaa: Outcome | undefined): LookUpResult {
  const outcomes = [a, aaaa].filter((outcome) => outcome !== undefined)
  const answers = outcomes.filter((outcome) => outcome.kind === 'answer')
  const useful = answers.filter((answer) => answer.addresses.length > 0)
  if (useful.length > 0) {
    const seconds = Math.min(...useful.map((answer) => answer.ttlSeconds))
    const isWhole = answers.length === 2
    return {
      ok: true,
      addresses: useful.flatMap((answer) => answer.addresses),
      chain: [...new Set(useful.flatMap((answer) => answer.chain))],
      ttlMs: isWhole ? seconds * 1000 : Math.min(seconds * 1000, partialTtlMs),
    }
  }
  const notFound = outcomes.find((outcome) => outcome.kind === 'not_found')
  if (notFound !== undefined) {
    return { ok: false, code: 'dns_not_found', detail: 'NXDOMAIN', ttlMs: notFound.ttlSeconds * 1000 }
  }
  const failed = outcomes.find((outcome) => outcome.kind === 'failed')
  if (failed !== undefined) return { ok: false, code: 'dns_failed', detail: failed.detail }
  const timeout = outcomes.find((outcome) => outcome.kind === 'timeout')
  if (timeout !== undefined) return { ok: false, code: 'dns_timeout', detail: timeout.detail }
  const seconds = Math.min(...answers.map((answer) => answer.ttlSeconds))
  return { ok: false, code: 'dns_no_address', detail: 'neither A nor AAAA records', ttlMs: seconds * 1000 }
}
