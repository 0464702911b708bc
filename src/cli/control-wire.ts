// What the control API says of questions, grants, sessions and tokens, as the commands use it. Times are `ms`
// since the epoch. Everything here is foreign text: escape it before it is shown.
import { Members } from './members.ts'

export interface ShownRule {
  readonly id: string
  readonly pattern: string
  readonly file: string
  readonly line: number
}

export interface Question {
  readonly id: string
  readonly version: number
  readonly state: string
  readonly kind: string
  readonly session: string
  readonly agent: string
  readonly owner: string | undefined
  readonly team: string | undefined
  readonly scheme: string
  readonly host: string
  readonly port: number
  readonly method: string | undefined
  readonly url: string | undefined
  readonly upgrade: string | undefined
  readonly reason: string
  readonly rule: ShownRule | undefined
  readonly isReview: boolean
  readonly statedReason: string | undefined
  readonly userAgent: string | undefined
  readonly clientAddress: string | undefined
  readonly advisory: boolean
  readonly attempts: number
  readonly waiting: number
  readonly firstSeenMs: number
  readonly lastSeenMs: number
  readonly expiresMs: number
  readonly snoozedUntilMs: number | undefined
  readonly firstYes: { readonly by: string; readonly atMs: number; readonly isFetch: boolean } | undefined
  /** somebody has its page fetched at this moment */
  readonly fetching: { readonly by: string; readonly sinceMs: number } | undefined
  readonly decision: Decided | undefined
  /** as it was sent, for `--json` */
  readonly json: object
}

export interface Decided {
  readonly verdict: string
  readonly term: string
  readonly by: string
  readonly secondBy: string | undefined
  readonly atMs: number
  readonly comment: string | undefined
  readonly grantId: string | undefined
  /** the page was fetched into the cache, and nothing opened */
  readonly isFetched: boolean
  readonly fetchNote: string | undefined
}

export interface QuestionCard {
  readonly question: Question
  readonly unicodeHost: string | undefined
  readonly registrableDomain: string | undefined
  readonly hints: readonly { readonly code: string; readonly text: string }[]
  readonly nearestRules: readonly { readonly rule: ShownRule; readonly why: string }[]
  readonly others: readonly { readonly agent: string; readonly session: string; readonly state: string }[]
  readonly similar: readonly { readonly host: string; readonly verdict: string; readonly term: string; readonly by: string; readonly atMs: number; readonly comment: string | undefined }[]
  /** why the URL of a page is to be looked at twice */
  readonly doubts: readonly string[]
  readonly patterns: readonly string[]
  readonly fourEyes: boolean
  readonly commentFor: readonly string[]
  readonly ownerMay: readonly string[]
}

/** One page of a list. */
export interface Page<T> {
  readonly items: readonly T[]
  readonly next: string | undefined
}

export function readQuestion(value: unknown): Question {
  return questionOf(new Members(value, 'approval'))
}

export function readCard(value: unknown): QuestionCard {
  const card = new Members(value, 'approval')
  const rules = card.optionalObject('rules')
  return {
    question: questionOf(card),
    unicodeHost: card.optionalText('unicode_host'),
    registrableDomain: card.optionalText('registrable_domain'),
    hints: card.objects('hints').map((each) => ({ code: each.text('code'), text: each.text('text') })),
    nearestRules: card.objects('nearest_rules').map((each) => ({ rule: ruleOf(each.object('rule')), why: each.text('why') })),
    others: card.objects('others').map((each) => ({ agent: each.text('agent'), session: each.text('session'), state: each.text('state') })),
    similar: card.objects('similar').map((each) => ({ host: each.text('host'), verdict: each.text('verdict'), term: each.text('term'), by: each.text('by'), atMs: each.time('at'), comment: each.optionalText('comment') })),
    doubts: card.texts('doubts'),
    patterns: card.texts('patterns'),
    fourEyes: rules?.flag('four_eyes') ?? false,
    commentFor: rules?.texts('comment_for') ?? [],
    ownerMay: rules?.texts('owner_may') ?? [],
  }
}

export function readPage<T>(value: unknown, readItem: (item: unknown) => T): Page<T> {
  const page = new Members(value, 'list')
  return { items: page.objects('items').map(({ json }) => readItem(json)), next: page.optionalText('next_cursor') }
}

function questionOf(from: Members): Question {
  const firstYes = from.optionalObject('first_yes')
  const fetching = from.optionalObject('fetching')
  const decision = from.optionalObject('decision')
  const rule = from.optionalObject('rule')
  return {
    id: from.text('id'),
    version: from.number('version'),
    state: from.text('state'),
    kind: from.text('kind'),
    session: from.text('session'),
    agent: from.text('agent'),
    owner: from.optionalText('owner'),
    team: from.optionalText('team'),
    scheme: from.text('scheme'),
    host: from.text('host'),
    port: from.number('port'),
    method: from.optionalText('method'),
    url: from.optionalText('url'),
    upgrade: from.optionalText('upgrade'),
    reason: from.text('reason'),
    rule: rule === undefined ? undefined : ruleOf(rule),
    isReview: from.flag('is_review'),
    statedReason: from.optionalText('stated_reason'),
    userAgent: from.optionalText('user_agent'),
    clientAddress: from.optionalText('client_address'),
    advisory: from.flag('advisory'),
    attempts: from.number('attempts'),
    waiting: from.number('waiting'),
    firstSeenMs: from.time('first_seen'),
    lastSeenMs: from.time('last_seen'),
    expiresMs: from.time('expires_at'),
    snoozedUntilMs: from.optionalTime('snoozed_until'),
    firstYes: firstYes === undefined ? undefined : { by: firstYes.text('by'), atMs: firstYes.time('at'), isFetch: firstYes.optionalFlag('is_fetch') ?? false },
    fetching: fetching === undefined ? undefined : { by: fetching.text('by'), sinceMs: fetching.time('since') },
    decision: decision === undefined ? undefined : decidedOf(decision),
    json: from.json,
  }
}

function decidedOf(from: Members): Decided {
  return {
    verdict: from.text('verdict'),
    term: from.text('term'),
    by: from.text('by'),
    secondBy: from.optionalText('second_by'),
    atMs: from.time('at'),
    comment: from.optionalText('comment'),
    grantId: from.optionalText('grant_id'),
    isFetched: from.optionalFlag('is_fetched') ?? false,
    fetchNote: from.optionalText('fetch_note'),
  }
}

function ruleOf(from: Members): ShownRule {
  return { id: from.text('id'), pattern: from.optionalText('pattern') ?? '', file: from.text('file'), line: from.number('line') }
}

export interface ShownGrant {
  readonly id: string
  readonly approvalId: string
  readonly verdict: string
  readonly term: string
  readonly who: string
  readonly holder: string
  readonly host: string
  readonly subdomains: boolean
  readonly port: number | undefined
  readonly isOneRequest: boolean
  /** the host may be read live, and nothing else */
  readonly isLiveReading: boolean
  readonly by: string
  readonly createdMs: number
  readonly expiresMs: number | undefined
}

export function readGrant(value: unknown): ShownGrant {
  const from = new Members(value, 'grant')
  return {
    id: from.text('id'),
    approvalId: from.text('approval_id'),
    verdict: from.text('verdict'),
    term: from.text('term'),
    who: from.text('who'),
    holder: from.text('holder'),
    host: from.text('host'),
    subdomains: from.flag('subdomains'),
    port: from.optionalNumber('port'),
    isOneRequest: from.optionalText('request_digest') !== undefined,
    isLiveReading: from.optionalFlag('live_reading') ?? false,
    by: from.text('by'),
    createdMs: from.time('created_at'),
    expiresMs: from.optionalTime('expires_at'),
  }
}

export interface ShownSession {
  readonly id: string
  readonly agent: string
  readonly owner: string | undefined
  readonly team: string | undefined
  readonly hold: string
  readonly unattended: boolean
  readonly trustsCa: boolean
  readonly webFetch: boolean
  readonly record: boolean
  /** requests of it that were refused since the proxy started */
  readonly refused: number
  readonly createdMs: number
  readonly createdBy: string
  readonly expiresMs: number | undefined
  readonly endedMs: number | undefined
  readonly lastSeenMs: number | undefined
}

export function readSession(value: unknown): ShownSession {
  const from = new Members(value, 'session')
  return {
    id: from.text('id'),
    agent: from.text('agent'),
    owner: from.optionalText('owner'),
    team: from.optionalText('team'),
    hold: typeof from.json['hold'] === 'number' ? `${from.number('hold')}s` : from.text('hold'),
    unattended: from.flag('unattended'),
    trustsCa: from.flag('trusts_ca'),
    webFetch: from.flag('web_fetch'),
    record: from.flag('record'),
    refused: from.number('refused'),
    createdMs: from.time('created_at'),
    createdBy: from.text('created_by'),
    expiresMs: from.optionalTime('expires_at'),
    endedMs: from.optionalTime('ended_at'),
    lastSeenMs: from.optionalTime('last_seen'),
  }
}

export interface ShownToken {
  readonly id: string
  readonly kind: string
  readonly name: string
  readonly role: string
  readonly teams: readonly string[]
  readonly createdBy: string
  readonly expiresMs: number
  readonly revokedMs: number | undefined
  readonly lastUsedMs: number | undefined
}

export function readToken(value: unknown): ShownToken {
  const from = new Members(value, 'token')
  return {
    id: from.text('id'),
    kind: from.text('kind'),
    name: from.text('name'),
    role: from.text('role'),
    teams: from.texts('teams'),
    createdBy: from.text('created_by'),
    expiresMs: from.time('expires_at'),
    revokedMs: from.optionalTime('revoked_at'),
    lastUsedMs: from.optionalTime('last_used'),
  }
}
