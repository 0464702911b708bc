// Tells people of questions: a signed webhook for each, and messages to a Slack-compatible channel, few enough to be
// read. What is told is in the outbox first. It must never hold up or fail a question or its answer.
import type { Clock } from '../clock.ts'
import type { Store } from '../store/store.ts'
import type { Approval } from './approval.ts'
import { hostAndPort, slackMessage, slackSummary, typeOf, webhookBody } from './notification.ts'
import { Outbox, outboxTiming, type OutboxTiming } from './outbox.ts'
import { createWebhookSender, type WebhookSender } from './webhook-sender.ts'

/** From process settings, and from nowhere else. */
export interface NotifierSettings {
  /** base of links, without a final slash; undefined: messages have none */
  readonly pageUrl: string | undefined
  readonly webhook: { readonly url: string; readonly secret: string } | undefined
  readonly slack: { readonly url: string } | undefined
}

export interface NotifierOptions {
  readonly store: Store
  readonly settings: NotifierSettings
  readonly clock: Clock
  /** for the operator log; what it is handed holds no URL and no key */
  readonly onFault: (error: Error) => void
  /** for tests */
  readonly timing?: Partial<OutboxTiming & { readonly timeoutMs: number }>
}

export interface Notifier {
  /** A new question; never throws. */
  approvalRequested(approval: Approval): void
  /** Its answer, the first of two, its expiry or its withdrawal: `state` says which. Never throws. */
  approvalDecided(approval: Approval): void
  /** What is left is delivered after the next start; the store may be closed when this resolves. */
  stop(): Promise<void>
}

/** A session's messages to the channel within one minute. */
interface Share {
  readonly id: string
  /** monotonic */
  readonly endMs: number
  sent: number
  questions: number
  answers: number
  readonly hosts: Set<string>
}

const timeoutMs = 10_000
const maxRows = 2000
const minuteMs = 60_000
const messagesPerMinute = 10
const maxHosts = 100

/** A notifier for what settings name; it does nothing where they name nothing. */
export function createNotifier(options: NotifierOptions): Notifier {
  const { settings } = options
  if (settings.webhook === undefined && settings.slack === undefined) {
    return { approvalRequested: () => undefined, approvalDecided: () => undefined, stop: async () => undefined }
  }
  return new OutboxNotifier(options)
}

class OutboxNotifier implements Notifier {
  readonly #settings: NotifierSettings
  readonly #clock: Clock
  readonly #senders = new Map<string, WebhookSender>()
  readonly #outbox: Outbox
  readonly #shares = new Map<string, Share>()

  constructor({ store, settings, clock, onFault, timing }: NotifierOptions) {
    this.#settings = settings
    this.#clock = clock
    const limit = timing?.timeoutMs ?? timeoutMs
    const { webhook, slack } = settings
    if (webhook !== undefined) this.#senders.set('webhook', createWebhookSender({ ...webhook, clock, timeoutMs: limit }))
    if (slack !== undefined) this.#senders.set('slack', createWebhookSender({ ...slack, secret: undefined, clock, timeoutMs: limit }))
    this.#outbox = new Outbox({
      store,
      clock,
      targets: [...this.#senders.keys()],
      deliver: async (target, body) => this.#senders.get(target)?.send(body) ?? { kind: 'stopped' },
      onFault,
      timing: { ...outboxTiming, ...timing },
      maxRows,
    })
  }

  approvalRequested(approval: Approval): void {
    this.#tell(approval)
  }

  approvalDecided(approval: Approval): void {
    // a channel that could not be told of the question need not hear of it after its answer
    if (approval.state !== 'pending') this.#outbox.takeBack(`approval.requested/${approval.id}/slack`)
    this.#tell(approval)
  }

  async stop(): Promise<void> {
    for (const sender of this.#senders.values()) sender.close()
    await this.#outbox.stop()
  }

  #tell(approval: Approval): void {
    const { webhook, slack, pageUrl } = this.#settings
    const id = `${typeOf(approval)}/${approval.id}`
    if (webhook !== undefined) this.#outbox.put(`${id}/webhook`, 'webhook', webhookBody(id, approval, pageUrl, this.#clock.now()))
    if (slack !== undefined) this.#tellChannel(`${id}/slack`, approval)
  }

  /** So many messages of a session in a minute, and then one more that sums up the rest. */
  #tellChannel(id: string, approval: Approval): void {
    const { pageUrl } = this.#settings
    const share = this.#shareOf(approval.session)
    share.sent += 1
    if (share.sent <= messagesPerMinute) {
      this.#outbox.put(id, 'slack', slackMessage(approval, pageUrl))
      return
    }
    if (typeOf(approval) === 'approval.requested') share.questions += 1
    else share.answers += 1
    if (share.hosts.size < maxHosts) share.hosts.add(hostAndPort(approval))
    const summary = slackSummary(approval.session, approval.agent, { ...share, hosts: [...share.hosts] }, pageUrl)
    this.#outbox.put(`summary/${approval.session}/${share.id}`, 'slack', summary, Math.max(0, share.endMs - this.#clock.monotonic()))
  }

  #shareOf(session: string): Share {
    const now = this.#clock.monotonic()
    const known = this.#shares.get(session)
    if (known !== undefined && now < known.endMs) return known
    for (const [key, { endMs }] of this.#shares) if (endMs <= now) this.#shares.delete(key)
    const share = { id: this.#clock.now().toString(36), endMs: now + minuteMs, sent: 0, questions: 0, answers: 0, hosts: new Set<string>() }
    this.#shares.set(session, share)
    return share
  }
}
