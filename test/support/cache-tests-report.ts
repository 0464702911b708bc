// docs/cache-tests.md, made of what the suite said: counts by group, and a reason for every test that did not pass. One
// without a reason is an error, so that nothing fails unexplained.
import type { CacheTestResult, CacheTestRun } from './cache-tests.ts'

interface Reason {
  readonly ids: RegExp
  readonly why: string
}

const reasons: readonly Reason[] = [
  { ids: /^age-parse-prefix$/, why: 'The suite wants `Age: 0,7200` read as 0 and `Age: 0, 0` as stale. Here an Age that is not one number makes an answer stale: too old is safe, too young is not.' },
  { ids: /^surrogate-append-capabilities$/, why: 'Surrogate-Capability is for caches that stand before an origin by arrangement (W3C Edge Architecture Note). A forward proxy announces nothing about itself to origins.' },
  { ids: /^surrogate-/, why: 'Surrogate-Control is for caches that stand before an origin by arrangement (W3C Edge Architecture Note), and overrides Cache-Control. For a forward proxy Cache-Control is what counts.' },
  { ids: /^(headers-store-Set-Cookie2?|304-etag-update-response-Set-Cookie2?|other-set-cookie)$/, why: 'An answer with a cookie is not kept: a cookie is for the one who asked. A cache that keeps the answer has to keep the cookie too, by the suite.' },
  { ids: /^headers-store-Transfer-Encoding$/, why: 'The suite sends a Transfer-Encoding that does not exist. Such an answer is refused with 502, kept or not.' },
  { ids: /^304-etag-update-response-ETag$/, why: 'The 304 has another strong ETag than what it is to confirm. By RFC 9111 section 4.3.4 it confirms nothing: the answer is fetched anew, which the suite takes for a retry.' },
  { ids: /^stale-close$|^stale-503$/, why: 'A stale answer stands in for a failing origin only where the origin or the client says `stale-if-error`.' },
  { ids: /^stale-close-/, why: 'Judged only of caches that send stale answers unasked (`stale-close`). Nothing stale is sent here; the client gets the 502.' },
  { ids: /^stale-warning-/, why: 'Judged only of caches that send stale answers unasked. Warning is obsolete (RFC 9111 section 5.5).' },
  { ids: /^method-POST$/, why: 'Answers to POST are not kept.' },
  { ids: /^vary-normalise-lang-select$/, why: 'Which language an origin would choose is not guessed from Accept-Language.' },
  { ids: /^conditional-lm-fresh-no-lm$/, why: 'Without Last-Modified nothing says that content has not changed since a date; the answer is sent whole.' },
  { ids: /^partial-store-partial-/, why: 'Parts (206) are not kept, and nothing is put together from them. A whole answer that is kept is cut.' },
  { ids: /^other-authorization-/, why: 'Legal, and not done: what was fetched with Authorization is kept for nobody, whatever its origin says of sharing.' },
  { ids: /^freshness-max-age-(decimal|a100|100a)/, why: 'A `max-age` that is no number makes an answer stale.' },
  { ids: /^freshness-max-age-(multiple|two)/, why: 'Two `max-age` that differ make an answer stale (RFC 9111 section 4.2.1).' },
  { ids: /^freshness-expires-invalid|^freshness-expires-(32bit|far-future)$/, why: 'An Expires that is no HTTP-date, the comma included, means that the answer is stale (RFC 9111 section 5.3).' },
  { ids: /^headers-omit-headers-listed-in-Cache-Control-no-cache/, why: '`no-cache` with names of fields is taken as `no-cache`: the whole answer is confirmed before it is used.' },
  { ids: /^heuristic-delta-(5|10|30)$/, why: 'A tenth of the time since Last-Modified has passed when the suite asks again, after three seconds.' },
  { ids: /^ccreq-max-stale-age$/, why: 'What is stale when it comes and can never be confirmed is not kept.' },
  { ids: /^pragma-/, why: '`Pragma: no-cache` counts where there is no Cache-Control, of requests (RFC 9111 section 5.4) and, to be safe, of answers.' },
  { ids: /^conditional-etag-strong-respond-obs-text$/, why: 'The suite\'s server writes the ETag as UTF-8 and its client as Latin-1: they are two.' },
  { ids: /^conditional-etag-.*(un)?quoted/, why: 'Entity tags are compared and sent as they came, with or without their quotes.' },
  { ids: /^conditional-etag-vary-headers-mismatch$/, why: 'What was chosen by other request fields is not confirmed for these.' },
  { ids: /^head-200-retain$/, why: 'The answer to a HEAD that was forwarded is the origin\'s own; what is kept is brought up to date beside it.' },
  { ids: /^head-410-update$/, why: 'Only a 200 to a HEAD says something of what is kept (RFC 9111 section 4.3.5).' },
]

/** Groups in which no required test may fail. */
export const flawless: readonly string[] = ['cc-response', 'cc-freshness', 'vary', 'auth', 'invalidation', 'partial']

export function countOf(results: Readonly<Record<string, CacheTestResult>>, wanted: Partial<CacheTestResult>): number {
  return Object.values(results).filter(({ group, kind, outcome }) =>
    (wanted.group ?? group) === group && (wanted.kind ?? kind) === kind && (wanted.outcome ?? outcome) === outcome).length
}

const words = { pass: 'passes', fail: 'fails', unmet: 'not judged: depends on another', setup: 'not judged: does not come to be' } as const

/** The whole page. Throws for a test that did not pass and has no reason. */
export function renderCacheTests({ results, says }: CacheTestRun): string {
  const groups = [...new Set(Object.values(results).map(({ group }) => group))]
  const cells = (group: string | undefined, kind: CacheTestResult['kind']): string => {
    const of = (outcome: CacheTestResult['outcome']): number => countOf(results, { kind, outcome, ...(group === undefined ? {} : { group }) })
    return `${of('pass')} / ${of('fail')} / ${of('unmet') + of('setup')}`
  }
  const row = (name: string, group: string | undefined): string => `| ${name} | ${cells(group, 'required')} | ${cells(group, 'optimal')} | ${cells(group, 'check')} |`
  const unpassed = Object.entries(results).filter(([, { outcome }]) => outcome !== 'pass')
  return `# The shared cache against http-cache-tests

\`http-cache-tests\` 0.4.5, the suite behind cache-tests.fyi, run through a whole proxy against its [shared cache](web-cache.md#shared-cache-for-live-traffic). Written by
\`test/scripts/cache-tests.ts\`; \`test/e2e/cache-tests.test.ts\` runs the suite and fails when any result is another one than \`test/fixtures/cache-tests.json\` says.

*Required* tests are about what RFC 9111 demands, *optimal* ones about what makes a cache useful, *checks* only ask what a cache does. Each cell: passed / failed / not judged, because a test
that it depends on did not pass, or because what it is about does not come to be.

| group | required | optimal | checks |
|---|---|---|---|
${groups.map((group) => row(`\`${group}\``, group)).join('\n')}
${row('all', undefined)}

## What does not pass, and why

${reasons.map((reason) => section(reason, unpassed, says)).filter((text) => text !== '').join('\n\n')}
${unexplained(unpassed)}`
}

function section({ ids, why }: Reason, unpassed: readonly (readonly [string, CacheTestResult])[], says: CacheTestRun['says']): string {
  const rows = unpassed.filter(([id]) => ids.test(id) && reasons.find((reason) => reason.ids.test(id))?.ids === ids)
  if (rows.length === 0) return ''
  const lines = rows.map(([id, { kind, outcome }]) => `| \`${id}\` | ${kind} | ${words[outcome]} | ${(says.get(id)?.name ?? '').replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll('|', '\\|')} |`)
  return `${why}\n\n| test | kind | result | what it asks |\n|---|---|---|---|\n${lines.join('\n')}`
}

function unexplained(unpassed: readonly (readonly [string, CacheTestResult])[]): string {
  const without = unpassed.filter(([id]) => !reasons.some(({ ids }) => ids.test(id))).map(([id, { outcome }]) => `${id}: ${outcome}`)
  if (without.length > 0) throw new Error(`no reason is given for ${without.join(', ')}`)
  return ''
}
