// The messages about a question: what a webhook is sent, and what a channel of a Slack-compatible service shows. Pure.
// They name host, port, agent and reason; never a path, a query or a token. What an agent or a reviewer wrote can
// neither ping anybody nor become a link, and a link of ours opens the page: it never decides.
import { escapeText } from '../audit/escape.ts'
import { hostLabel, isoTime, labelText, reasonWithoutPath, sentenceText } from '../audit/label-text.ts'
import type { Approval } from './approval.ts'

export type NotificationType = 'approval.requested' | 'approval.first_yes' | 'approval.decided' | 'approval.expired' | 'approval.withdrawn'

const maxMethod = 64
const verdictWords = { allow: 'allowed', deny: 'denied' } as const
const pageWords = 'a page that is not in the web cache, of'

/** What happened to a question, by its state. */
export function typeOf({ state, firstYes }: Approval): NotificationType {
  if (state === 'pending') return firstYes === undefined ? 'approval.requested' : 'approval.first_yes'
  return state === 'allowed' || state === 'denied' ? 'approval.decided' : `approval.${state}`
}

/** Where a reviewer reads and answers it; undefined without a base. */
export function pageLink(approval: Approval, pageUrl: string | undefined): string | undefined {
  return pageUrl === undefined ? undefined : `${pageUrl}/approvals/${encodeURIComponent(approval.id)}`
}

/** JSON, as docs/notifications.md says. `id` is the same over every delivery of one message; `atMs` is wall clock. */
export function webhookBody(id: string, approval: Approval, pageUrl: string | undefined, atMs: number): string {
  const { decision, firstYes } = approval
  return JSON.stringify({
    id,
    type: typeOf(approval),
    time: isoTime(atMs),
    approval: {
      id: approval.id,
      version: approval.version,
      state: approval.state,
      kind: approval.kind,
      session: label(approval.session),
      agent: label(approval.agent),
      owner: orNull(approval.owner, label),
      team: orNull(approval.team, label),
      scheme: approval.scheme,
      host: hostLabel(approval.host),
      port: approval.port,
      method: orNull(approval.method, (method) => escapeText(method, maxMethod)),
      reason: sentence(reasonWithoutPath(approval.reason)),
      is_review: approval.isReview,
      advisory: approval.advisory,
      attempts: approval.attempts,
      expires_at: isoTime(approval.expiresMs),
      first_yes: firstYes === undefined ? null : { by: label(firstYes.by), at: isoTime(firstYes.atMs) },
      decision: decision === undefined ? null : {
        verdict: decision.verdict,
        term: decision.term,
        by: label(decision.by),
        second_by: orNull(decision.secondBy, label),
        at: isoTime(decision.atMs),
        comment: orNull(decision.comment, (comment) => sentence(sentenceText(comment))),
        is_fetched: decision.isFetched === true,
      },
    },
    url: pageLink(approval, pageUrl) ?? null,
  })
}

/** A Slack message about one question. */
export function slackMessage(approval: Approval, pageUrl: string | undefined): string {
  const link = pageLink(approval, pageUrl)
  return slackBody(`${slackText(approval)}\n${link === undefined ? '' : `${slackLink(link, 'Open it')} · `}approval ${code(approval.id)}`)
}

/** One Slack message for all that a session had beyond its share. */
export function slackSummary(session: string, agent: string, more: { readonly questions: number; readonly answers: number; readonly hosts: readonly string[] }, pageUrl: string | undefined): string {
  const parts = [counted(more.questions, 'more question', 'more questions'), counted(more.answers, 'more answer', 'more answers')].filter((part) => part !== undefined)
  const hosts = more.hosts.slice(0, maxSummaryHosts).map(code).join(', ')
  const rest = more.hosts.length > maxSummaryHosts ? ` and ${more.hosts.length - maxSummaryHosts} others` : ''
  const link = pageUrl === undefined ? '' : `\n${slackLink(`${pageUrl}/approvals`, 'Open the queue')}`
  return slackBody(`${code(agent)} in session ${code(session)}: ${parts.join(' and ')} within a minute, about ${hosts}${rest}${link}`)
}

const maxSummaryHosts = 10

/** As shown in a list of hosts. */
export function hostAndPort({ host, port }: Approval): string {
  return `${hostLabel(host)}:${port}`
}

function slackText(approval: Approval): string {
  const { agent, owner, decision, firstYes } = approval
  const place = code(hostAndPort(approval))
  const asked = approval.kind === 'fetch' ? `${pageWords} ${place}` : place
  const who = `${code(agent)}${owner === undefined ? '' : ` of ${code(owner)}`}`
  switch (typeOf(approval)) {
    case 'approval.requested':
      return `*Approval wanted*: ${who} asks for ${asked}${approval.advisory ? ' (advisory session)' : ''}\n${code(reasonWithoutPath(approval.reason))}`
    case 'approval.first_yes':
      return firstYes?.answer.isFetch === true
        ? `${code(firstYes.by)} would have ${asked} fetched for ${who}: a second person has to agree`
        : `${code(firstYes?.by ?? '')} would allow ${who} ${place}: a second person has to agree`
    case 'approval.decided': {
      if (decision === undefined) return `${who} ${place}: ${approval.state}`
      const reviewers = decision.secondBy === undefined ? code(decision.by) : `${code(decision.by)} and ${code(decision.secondBy)}`
      const comment = decision.comment === undefined ? '' : `\n${code(sentenceText(decision.comment))}`
      if (decision.isFetched === true) return `${reviewers} had ${asked} fetched for ${who}; nothing was opened${comment}`
      return `${reviewers} ${verdictWords[decision.verdict]} ${who} ${decision.verdict === 'deny' ? asked : place}${approval.kind === 'fetch' && decision.verdict === 'allow' ? ', read live' : ''} (${decision.term})${comment}`
    }
    case 'approval.expired':
      return `Nobody answered ${who} about ${asked}`
    default:
      return `${who} needs no answer about ${asked} any more`
  }
}

function slackBody(text: string): string {
  return JSON.stringify({ text, unfurl_links: false, unfurl_media: false })
}

/**
 * Foreign text as code, where no service reads mentions, links or formatting: Slack's three characters escaped
 * (docs.slack.dev, "Formatting message text": & < >), and nothing in it can end the code.
 */
function code(text: string): string {
  const shown = escapeText(text, maxShown).replaceAll('`', "'")
  return `\`${shown === '' ? '-' : slackEscape(shown)}\``
}

const maxShown = 512

function slackEscape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

/** The base is a setting; `|` would end the link. */
function slackLink(url: string, text: string): string {
  return `<${slackEscape(url).replaceAll('|', '%7C')}|${text}>`
}

function counted(count: number, one: string, many: string): string | undefined {
  return count === 0 ? undefined : `${count} ${count === 1 ? one : many}`
}

function label(text: string): string {
  return escapeText(labelText(text))
}

function sentence(text: string): string {
  return escapeText(text)
}

function orNull(text: string | undefined, shown: (text: string) => string): string | null {
  return text === undefined ? null : shown(text)
}
