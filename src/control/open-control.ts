// Puts the control plane together: the API, the pages, and what both are handed. It wires and decides nothing.
import { randomBytes } from 'node:crypto'
import type { ApprovalsRoom } from '../approvals/open-approvals.ts'
import type { KeptAnswers } from '../approvals/kept-answers.ts'
import type { AuditSink } from '../audit/event.ts'
import type { CacheRoom } from '../cache/open-cache.ts'
import { eventSearch } from '../audit/event-search.ts'
import { journalEvents } from '../audit/journal-events.ts'
import { startSearcher } from '../audit/journal-searcher.ts'
import type { Clock } from '../clock.ts'
import type { PersonErasure } from '../config/listening.ts'
import type { PolicySource } from '../config/policy-files.ts'
import type { Settings } from '../config/settings.ts'
import { readTarget } from '../policy/explain-target.ts'
import { anonymousSession } from '../policy/facts.ts'
import { looksInside } from '../policy/looks-inside.ts'
import { verdictOf } from '../policy/verdict-of.ts'
import { cookieName } from './auth.ts'
import { pageHost } from './guards.ts'
import { createControl, type Control } from './control.ts'
import { controlLimits, type ControlPolicy, type SessionSocketPort } from './deps.ts'
import { registerPages } from './pages/pages.ts'

export interface OpenControlOptions {
  readonly settings: Settings
  readonly socketPath: string
  readonly journalDir: string
  readonly instanceId: string
  /** the operating system's name of the user that this process runs as */
  readonly localUser: string
  readonly room: ApprovalsRoom
  /** undefined: process settings say that there is none */
  readonly cache: CacheRoom | undefined
  readonly answers: KeptAnswers
  readonly erasure: PersonErasure
  readonly policies: PolicySource
  readonly audit: AuditSink
  readonly clock: Clock
  readonly nextId: () => string
  /** of the proxy listener */
  readonly proxyUrl: () => string
  readonly sockets: SessionSocketPort
  readonly trustedPem: () => Promise<string>
  readonly keepOut: () => readonly string[]
  readonly refused: (session: string) => number
  /** connections of each listener; undefined: the usual number */
  readonly connections: number | undefined
  /** for the operator log */
  readonly onLog: (level: 'info' | 'warn', message: string) => void
  readonly onFault: (error: unknown) => void
}

export function openControl(options: OpenControlOptions): Control {
  const { settings, room, answers, policies, audit, clock, instanceId, onFault } = options
  const { sessions, tokens, desk, cards } = room
  const events = journalEvents(options.journalDir)
  const searcher = startSearcher({ dir: options.journalDir, onLog: options.onLog, onFault })
  const search = eventSearch(events, searcher)
  const card: Parameters<typeof createControl>[0]['card'] = (approval, actor) => cards.card(approval, actor)
  const control = createControl({
    listen: settings.control,
    tls: settings.controlTls,
    hosts: settings.controlHosts,
    socketPath: options.socketPath,
    instanceId,
    localUser: options.localUser,
    desk,
    cache: options.cache,
    card,
    sessions,
    tokens,
    isAgentCredential: (id, token) => sessions.isCredential(id, token),
    policy: policyOf(policies, settings.clients.length === 0),
    events,
    search,
    answers,
    erasure: options.erasure,
    audit,
    clock,
    // whoever has a page fetched hears what came of it
    limits: { ...controlLimits, connections: Math.min(controlLimits.connections, options.connections ?? Infinity), idleMs: Math.max(controlLimits.idleMs, settings.cache.fetchTimeoutMs + 30_000) },
    proxyUrl: options.proxyUrl,
    sockets: options.sockets,
    trustedPem: options.trustedPem,
    keepOut: options.keepOut,
    refused: options.refused,
    requestId: options.nextId,
    onFault,
    pages: (server) => registerPages(server, {
      desk, card, sessions, tokens, clock,
      search,
      cookieName: cookieName(instanceId),
      isSecure: settings.controlTls !== undefined,
      // a page that is reached by a certificate's name has that name to itself
      ownHost: settings.controlTls === undefined ? pageHost : undefined,
      csrfKey: randomBytes(32),
      onFault,
    }),
  })
  return {
    start: () => control.start(),
    stop: async () => {
      await control.stop()
      await searcher.close()
    },
  }
}

function policyOf(policies: PolicySource, onlyLoopback: boolean): ControlPolicy {
  return {
    state: () => {
      const policy = policies.current()
      if (policy === undefined) return undefined
      const { revision, mode, unknown, ruleCount, feedNames } = policy
      return { revision, mode, unknown, ruleCount, feedNames, files: policies.files(), problems: policies.problems() }
    },
    explain: ({ url, method, agent, team }) => {
      const policy = policies.current()
      if (policy === undefined) return undefined
      const target = readTarget(url, { method, upgrade: undefined, principal: { session: anonymousSession, agent, team, owner: undefined } })
      return { asked: target.asked, ...verdictOf(policy, target, onlyLoopback) }
    },
    looksInside: () => {
      const policy = policies.current()
      return policy === undefined || looksInside(policy)
    },
  }
}
