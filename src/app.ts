// The composition root: settings in, a running proxy out. The one file that knows every room; it wires
// them and decides nothing. No state outside the instance: two can run in one process.
import { randomBytes, randomUUID } from 'node:crypto'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { KeptAnswers } from './approvals/kept-answers.ts'
import { openApprovals, type ApprovalsRoom } from './approvals/open-approvals.ts'
import { migrations } from './approvals/migrations.ts'
import { Erasure } from './audit/erasure.ts'
import type { AuditEvent } from './audit/event.ts'
import type { Journal } from './audit/journal.ts'
import { openAudit } from './audit/open-audit.ts'
import { openDelivery, type DeliveryRoom } from './audit/open-delivery.ts'
import type { PersonKeys } from './audit/person-keys.ts'
import { loadRedactionKey } from './audit/redaction-key.ts'
import { journalDir } from './audit/segments.ts'
import { policyLoadedEvent, policyRejectedEvent, processStartedEvent, processStoppedEvent } from './audit/service-events.ts'
import type { CacheStore } from './cache/cache-store.ts'
import { CertificateAuthority } from './ca/certificate-authority.ts'
import { openCache, type CacheRoom } from './cache/open-cache.ts'
import { systemClock, type Clock } from './clock.ts'
import { ApprovedFile } from './config/approved-file.ts'
import { Credentials } from './config/credentials.ts'
import { destinationLines, destinationsOf, revived } from './config/destinations.ts'
import { processEnvironment } from './config/environment.ts'
import { listeningOf, type App, type AppDeps, type Listening, type PersonErasure, type ReloadOutcome } from './config/listening.ts'
import { ownShares } from './config/descriptors.ts'
import { isLoopback } from './config/load-rules.ts'
import { portOf, urlOf } from './config/listener-url.ts'
import { knownCredentials } from './config/load-credentials.ts'
import { createPolicySource, type PolicySource } from './config/policy-files.ts'
import { ownFiles } from './config/own-files.ts'
import { invalidAtStartText, notReadyText, rejectedText, warningFields } from './config/policy-words.ts'
import type { Settings } from './config/settings.ts'
import { openWayOut, type WayOut } from './egress/open-way-out.ts'
import { Deadlines } from './deadlines.ts'
import type { Control } from './control/control.ts'
import { openControl } from './control/open-control.ts'
import { ReadBuffers } from './egress/read-buffers.ts'
import { Gate } from './gate/gate.ts'
import { NameBudget } from './gate/name-budget.ts'
import { RequestIds } from './gate/request-id.ts'
import { ClientConnections } from './ingress/client-connections.ts'
import { createFront, type Front } from './ingress/front.ts'
import { LeafContexts } from './ingress/intercept.ts'
import { PeerUids } from './ingress/peer-uid.ts'
import { RenderedPages } from './ingress/rendered-pages.ts'
import { SessionSockets } from './ingress/session-sockets.ts'
import { FaultLog } from './ops/fault-log.ts'
import { createMetrics, type Metrics, type MetricsSnapshot } from './ops/metrics.ts'
import { checksOf } from './ops/checks.ts'
import { createOps, type Check, type Ops } from './ops/ops.ts'
import { namesAgents } from './policy/agents.ts'
import { anonymousSession, cacheSession } from './policy/facts.ts'
import type { Policy } from './policy/policy.ts'
import { staticNames } from './policy/static-names.ts'
import { openSqliteStore } from './store/sqlite-store.ts'
import type { Store } from './store/store.ts'
import { OwnPlaces, reservedDestinations } from './config/own-places.ts'
import { snapshotOf, Tally } from './ops/tally.ts'
import { createTurnstiles } from './turnstile.ts'

/** `cacheStore`: where the cache is; absent: in the data folder. */
type Deps = AppDeps & { readonly cacheStore?: CacheStore | undefined }

export async function createApp(settings: Settings, deps: Deps): Promise<App> {
  const clock = systemClock
  const faults = new FaultLog(clock, (error, repeated) => deps.log.error({ error, repeated }, 'a fault of the proxy itself'))
  const onFault = (error: unknown): void => faults.report(error)
  const instanceId = randomUUID()
  const destinations = destinationsOf(settings).map(({ name }) => name)
  const { journal, keys } = await openAudit({ ...settings.audit, dataDir: settings.dataDir, instanceId, clock, destinations, onFault })
  try {
    const store = openSqliteStore(join(settings.dataDir, 'sallyport.db'), migrations, true)
    return new ProxyApp(settings, deps, { clock, journal, keys, store, instanceId, onFault })
  } catch (error) {
    await journal.close()
    throw error
  }
}

interface Base {
  readonly clock: Clock
  readonly journal: Journal
  readonly keys: PersonKeys
  readonly store: Store
  readonly instanceId: string
  readonly onFault: (error: unknown) => void
}

class ProxyApp implements App {
  readonly #settings: Settings
  readonly #deps: Deps
  readonly #base: Base
  readonly #policies: PolicySource
  readonly #gate: Gate
  readonly #front: Front
  readonly #sockets: SessionSockets
  readonly #wayOut: WayOut
  readonly #connections: ClientConnections
  readonly #metrics: Metrics
  readonly #ops: Ops | undefined
  readonly #places: OwnPlaces
  readonly #room: ApprovalsRoom
  readonly #tally = new Tally()
  readonly #startedMs: number
  readonly #control: Control
  readonly #approvedFile: ApprovedFile
  readonly #ca: CertificateAuthority
  readonly #cache: CacheRoom | undefined
  readonly #descriptors = ownShares()
  readonly #erasure: Erasure
  #proxyUrl = ''
  #delivery: DeliveryRoom | undefined
  #overdueTimer: NodeJS.Timeout | undefined
  #revision: string | undefined
  #isDraining = false
  #stopping: Promise<void> | undefined

  constructor(settings: Settings, deps: Deps, base: Base) {
    const { clock, journal, store, onFault } = base
    this.#settings = settings
    this.#deps = deps
    this.#base = base
    this.#startedMs = clock.monotonic()
    this.#places = new OwnPlaces(clock)
    this.#policies = createPolicySource({
      policiesDir: settings.policiesDir,
      requirementsFile: settings.requirementsFile,
      reserved: reservedDestinations(settings),
      credentials: knownCredentials(settings.credentials),
      clock, runJob: deps.runPolicyJob,
      onLog: (level, message) => deps.log[level]({}, message),
    })
    this.#approvedFile = new ApprovedFile({ policiesDir: settings.policiesDir, check: (text) => this.#policies.tryApproved(text) })
    const ids = new RequestIds(clock)
    const deadlines = new Deadlines(clock)
    this.#room = this.#openApprovals(ids, deadlines)
    const { sessions, approvals } = this.#room
    const redaction = { url: settings.audit.url, key: loadRedactionKey(settings.dataDir) }
    this.#gate = new Gate({
      approvals,
      isLive: (session) => session === anonymousSession || session === cacheSession || sessions.live(session) !== undefined,
      policy: () => this.#policies.current(),
      audit: journal,
      redaction,
      clock,
      hasCache: settings.cache.enabled,
      surroundings: () => this.#places.surroundings(),
      nameBudget: new NameBudget(clock, settings.limits.newNamesPerMinute),
      usesParent: settings.upstreamProxy !== undefined,
      parentResolves: settings.upstreamProxy?.resolve === 'parent',
      onFault,
      onVerdict: (verdict, code) => this.#tally.count(verdict, code),
    })
    const credentials = new Credentials(settings.credentials, deps.env ?? processEnvironment(), clock)
    this.#ca = this.#openCa()
    const { limits } = settings
    const pseudonym = `sallyport-${randomBytes(6).toString('hex')}`
    const buffers = new ReadBuffers()
    this.#wayOut = openWayOut({
      ...settings, buffers, gate: this.#gate, credentials, pseudonym, clock, deadlines, descriptorCeiling: this.#descriptors?.ceiling,
      onInsecure: (host) => deps.log.warn({ host }, 'the certificate of this origin is not judged, because a rule says `insecure`'),
      onRevocationWarning: (path, message) => deps.log.warn({ path }, message),
      onRevocationChange: () => this.#judgeOriginsAnew(),
    })
    this.#cache = settings.cache.enabled ? openCache({ ...settings.cache, ...this.#wayOut, policy: () => this.#policies.current(), dataDir: settings.dataDir, gate: this.#gate, audit: journal, redaction, clock, deadlines, store: deps.cacheStore, nextId: () => ids.next(), version: deps.version, onFault }) : undefined
    const rules = { ...limits, clients: settings.clients, requireSession: settings.requireSession, ownUid: process.getuid?.(), descriptors: this.#descriptors }
    this.#connections = new ClientConnections(rules, new PeerUids(clock), { buffers, clock, deadlines })
    this.#front = createFront({
      gate: this.#gate, ...this.#wayOut,
      credentials, buffers, clock, deadlines, turnstiles: createTurnstiles(),
      liveCache: this.#cache?.live,
      idleDeadlines: new Deadlines(clock, 1_000),
      ids,
      sessions,
      questions: approvals,
      webCache: this.#cache?.pages, renderedPages: new RenderedPages(), recorder: this.#cache?.recorder,
      fetching: { ...settings.cache, userAgent: `sallyport/${deps.version}` },
      leafContexts: new LeafContexts(this.#ca),
      limits,
      pseudonym,
      isDraining: () => this.#isDraining,
      onFault,
    }, this.#connections)
    this.#sockets = new SessionSockets({ folder: join(settings.dataDir, 'run'), front: this.#front, sessions, onFault })
    this.#metrics = createMetrics({ version: deps.version, snapshot: () => this.#snapshot() })
    this.#ops = settings.ops === 'off' ? undefined : createOps({ listen: settings.ops, checks: () => this.#checks(), metrics: this.#metrics, connections: this.#descriptors?.operators })
    this.#erasure = new Erasure({ ...base, journalDir: journalDir(settings.dataDir), places: [this.#room.personal, this.#cache?.personal ?? []].flat() })
    this.#control = openControl({
      settings, clock, onFault, connections: this.#descriptors?.operators, answers: new KeptAnswers(store, clock), erasure: this.#erasure, cache: this.#cache, instanceId: base.instanceId, room: this.#room, policies: this.#policies, audit: journal,
      socketPath: this.#socketPath(), journalDir: journalDir(settings.dataDir), localUser: userInfo().username,
      nextId: () => ids.next(), proxyUrl: () => this.#proxyUrl, refused: (session) => this.#gate.recent.count(session),
      sockets: this.#sockets, keepOut: () => [...new Set([...ownFiles(settings), ...this.#policies.besides()])], trustedPem: () => this.#ca.readyPem(), onLog: (level, message) => deps.log[level]({}, message),
    })
    this.#followPolicies()
  }

  async start(): Promise<Listening> {
    await this.#erasure.resume()
    const first = await this.#policies.load()
    if (first.policy === undefined) {
      throw new Error(invalidAtStartText(first.problems))
    }
    await this.#wayOut.revocations.open()
    await this.#places.keepFollowing(reservedDestinations(this.#settings), async (name) => (await this.#wayOut.resolver.resolve(name)).addresses, (error) => {
      this.#deps.log.warn({ error: error instanceof Error ? error.message : String(error) }, 'a name that the proxy itself reports to, or a parent proxy, does not resolve; agents are kept from it by that name alone')
    })
    this.#delivery = await this.#openDelivery()
    const { listen } = this.#settings
    const opened = await this.#front.listen(listen.host, listen.port)
    this.#places.own(opened)
    this.#proxyUrl = urlOf(opened)
    await this.#sockets.reopen()
    const { url: control } = await this.#control.start()
    if (control !== 'off' && this.#settings.control !== 'off') this.#places.own({ address: this.#settings.control.host, port: portOf(control) })
    const ops = (await this.#ops?.start()) ?? 'off'
    if (ops !== 'off' && this.#settings.ops !== 'off') this.#places.own({ address: this.#settings.ops.host, port: portOf(ops) })
    this.#policies.watch()
    this.#overdueTimer = setInterval(() => {
      if (this.#room.approvals.book.size > 0) this.#gate.live.closeOverdue(this.#base.clock.now())
    }, overdueEveryMs).unref()
    const listening = listeningOf(this.#settings, { proxy: this.#proxyUrl, control, controlSocket: this.#socketPath(), ops }, first.policy, this.#policies, this.#descriptors)
    await this.#base.journal.append(processStartedEvent({
      version: this.#deps.version,
      pid: process.pid,
      listeners: [listening.proxy, control, ops].filter((url) => url !== 'off'),
      revision: first.policy.revision,
      mode: first.policy.mode,
      advisory: listening.advisory,
      exporterEndpoint: this.#settings.otel.exporter?.endpoint, destinations: destinationLines(this.#settings),
    }))
    return listening
  }

  async reload(): Promise<ReloadOutcome> {
    const { outcome } = await this.#policies.reload()
    return outcome === 'loaded' ? 'reloaded' : outcome
  }

  get erasure(): PersonErasure {
    return this.#erasure
  }

  stop(graceful: boolean): Promise<void> {
    if (!graceful) this.#cut()
    this.#stopping ??= this.#stop(graceful)
    return this.#stopping
  }

  async #stop(graceful: boolean): Promise<void> {
    const { clock, journal } = this.#base
    this.#isDraining = true
    this.#front.drain()
    this.#sockets.close()
    this.#room.approvals.letGo()
    if (graceful) {
      const patience = setTimeout(() => this.#cut(), this.#settings.limits.drainMs)
      await this.#front.idle()
      clearTimeout(patience)
    } else {
      await this.#front.idle()
    }
    this.#places.close()
    await this.#control.stop()
    await this.#policies.close()
    this.#wayOut.forwarder.close()
    this.#wayOut.revocations.close()
    this.#wayOut.resolver.close()
    await this.#room.close()
    this.#cache?.close()
    clearInterval(this.#overdueTimer)
    const uptimeMs = clock.monotonic() - this.#startedMs
    if (this.#proxyUrl !== '') await this.#append(processStoppedEvent({ version: this.#deps.version, pid: process.pid, reason: graceful ? 'asked to stop' : 'asked to stop at once', uptimeMs }))
    journal.checkpoint()
    await journal.flush()
    await this.#delivery?.close(graceful ? exporterDrainMs : 0)
    await journal.close()
    this.#base.store.close()
    await this.#ops?.stop()
    this.#metrics.close()
  }

  #cut(): void {
    this.#gate.live.closeAll()
    this.#front.destroy()
  }

  /** Every load and every rejection is an event; a load judges what is open again. */
  #followPolicies(): void {
    this.#policies.onLoaded((policy, problems) => {
      const previousRevision = this.#revision
      this.#revision = policy.revision
      this.#tally.policyLoads += 1
      const told = warningFields(problems)
      void this.#append(policyLoadedEvent({ ...policy, previousRevision, files: this.#policies.files(), warnings: told.warnings }))
      if (previousRevision === undefined) return
      // a change that was taken back leaves the policy, and its connections, as they were
      if (previousRevision !== policy.revision) this.#wayOut.forwarder.closeRevision(previousRevision)
      this.#room.approvals.policyChanged()
      this.#gate.live.judgeAgain().then(
        (closed) => this.#deps.log.info({ revision: policy.revision, closed, ...told }, 'a new policy is in force'),
        this.#base.onFault,
      )
    })
    this.#policies.onRejected((problems) => {
      this.#tally.policyRejections += 1
      // without a policy before it, the start fails and says this itself
      if (this.#revision !== undefined) this.#deps.log.error({ revision: this.#revision }, rejectedText(problems, this.#revision))
      void this.#append(policyRejectedEvent({ revision: this.#revision, problems: problems.filter((problem) => problem.severity === 'error') }))
    })
  }

  /** A kept-alive connection was judged by the lists of its time: the next request shakes hands anew. */
  #judgeOriginsAnew(): void {
    if (this.#revision !== undefined) this.#wayOut.forwarder.closeRevision(this.#revision)
    this.#deps.log.info({}, 'other revocation lists are in force')
  }

  #openCa(): CertificateAuthority {
    return new CertificateAuthority({
      certsDir: this.#settings.certsDir,
      clock: this.#base.clock,
      constraints: () => staticNames(this.#policies.current()),
      onMade: ({ path, fingerprint }) => this.#deps.log.info({ path, fingerprint }, 'a root certificate was made: clients whose https is looked into need it, `sallyport ca export`'),
    })
  }

  #socketPath(): string {
    return join(this.#settings.dataDir, 'control.sock')
  }

  #openApprovals(ids: RequestIds, deadlines: Deadlines): ApprovalsRoom {
    const { clock, journal, store, onFault } = this.#base
    const { approvals, sessions, grants, listen, clients } = this.#settings
    const requireSession = this.#settings.requireSession || (!isLoopback(listen.host) && clients.length === 0)
    const policy = (): Policy | undefined => this.#policies.current()
    return openApprovals({
      store, clock, deadlines, audit: journal, policy, requireSession, onFault,
      policyNamesAgents: () => {
        const now = policy()
        return now !== undefined && namesAgents(now)
      },
      limits: approvals, hold: sessions.hold, sessionTtlMs: sessions.ttlMs, grantMaxTtlMs: grants.maxTtlMs,
      nextId: () => ids.next(),
      writeApproved: async (proposal, by) => void (await this.#approvedFile.add({ ...proposal, by, atMs: clock.now() })),
      onNarrowed: () => void this.#gate.live.judgeAgain().catch(onFault),
      fetchPage: this.#settings.cache.enabled ? async (approval, by) => this.#cache?.fetchPage(approval, by) : undefined,
      notifications: this.#settings.notifications,
    })
  }

  #openDelivery(): Promise<DeliveryRoom> {
    const { otel, audit, dataDir } = this.#settings
    const { clock, journal } = this.#base
    return openDelivery({
      dir: journalDir(dataDir), destinations: destinationsOf(this.#settings), journal, clock,
      environment: otel.environment, version: this.#deps.version, heartbeatMs: audit.heartbeatMs,
      decisions: () => this.#tally.decisions,
      revive: (destination) => revived(destination, this.#deps.env ?? processEnvironment()),
      onEvent: (event) => void this.#append(event), onLog: (level, message) => this.#deps.log[level]({}, message),
    })
  }

  /** Events about the proxy itself: nobody waits for them, and a journal that is down has said so. */
  async #append(event: AuditEvent): Promise<void> {
    try {
      await this.#base.journal.append(event)
    } catch (error) {
      this.#deps.log.warn({ event: event.name, error: error instanceof Error ? error.message : String(error) }, 'an event could not be journaled')
    }
  }

  #checks(): readonly Check[] {
    return checksOf({
      journal: this.#base.journal.state(),
      destinations: this.#delivery?.states() ?? [],
      policy: this.#policies.state(),
      policyProblem: () => notReadyText(this.#policies.problems()),
      isDraining: this.#isDraining,
      parentCache: this.#cache?.parentState(),
      revocations: this.#wayOut.revocations.health(),
    })
  }

  #snapshot(): MetricsSnapshot {
    return snapshotOf(this.#tally, { connections: this.#connections.size, tunnels: this.#gate.live.size }, this.#base.journal.stats(), this.#policies.current(), this.#delivery?.states() ?? [])
  }
}

const exporterDrainMs = 5_000
const overdueEveryMs = 500
