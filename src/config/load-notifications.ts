// Where notifications go: read from process settings and from nowhere else, for whoever could set this could
// have every question sent to a place of their own. No message repeats a URL or the key.
import { ProxyError } from '../errors.ts'
import { parseHost } from '../target/host.ts'
import { isClear } from './load-rules.ts'
import { readSecret } from './load-secret.ts'
import type { Values } from './load.ts'
import type { NotificationSettings } from './settings.ts'

const minSecret = 16
const secretSource = { inline: 'webhookSecret', file: 'webhookSecretFile', variable: 'webhookSecretEnv' } as const

export function readNotifications(values: Values): NotificationSettings {
  const slackUrl = values.get('slackUrl')
  return {
    pageUrl: readPageUrl(values),
    webhook: readWebhook(values),
    slack: slackUrl === undefined ? undefined : { url: readUrl('slackUrl', slackUrl, values) },
  }
}

function readWebhook(values: Values): NotificationSettings['webhook'] {
  const written = values.get('webhookUrl')
  if (written === undefined) {
    for (const name of Object.values(secretSource)) {
      if (values.get(name) !== undefined) values.problem(name, 'is set without `notifications.webhook.url`')
    }
    return undefined
  }
  const url = readUrl('webhookUrl', written, values)
  const isNamed = Object.values(secretSource).some((name) => values.get(name) !== undefined)
  if (!isNamed) values.problem('webhookUrl', 'needs `notifications.webhook.secret`, `secret_file` or `secret_env`: a notification that is not signed could be anybody\'s')
  const secret = readSecret(values, secretSource, 'secret')
  if (secret === undefined) return undefined
  if (secret !== '' && secret.length < minSecret) {
    const name = Object.values(secretSource).find((source) => values.get(source) !== undefined) ?? 'webhookSecret'
    values.problem(name, `holds fewer than ${minSecret} characters`)
  }
  return { url, secret }
}

function readPageUrl(values: Values): string | undefined {
  const written = values.get('pageUrl')
  if (written === undefined) return undefined
  const url = new URL(written)
  if (url.username !== '' || url.password !== '' || url.search !== '') values.problem('pageUrl', 'may hold scheme, host, port and path only')
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`
}

/** In its canonical spelling: its host is a reserved destination. */
function readUrl(name: 'webhookUrl' | 'slackUrl', written: string, values: Values): string {
  const url = new URL(written)
  if (url.username !== '' || url.password !== '') values.problem(name, 'may not hold credentials before its host')
  if (isClear(written)) values.warnings.push(`notifications: ${name === 'slackUrl' ? 'Slack' : 'webhook'} messages are sent in clear text to a host that is not this one`)
  try {
    parseHost(url.hostname)
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    values.problem(name, 'has a host that is not valid')
  }
  return url.href
}
