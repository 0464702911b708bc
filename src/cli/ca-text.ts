// What `sallyport ca` prints of a certificate authority, for people and for programs. Pure; no key is ever in it.
import { escapeText } from '../audit/escape.ts'
import type { CaStatus, RootInfo, UsableCa } from '../ca/certificate-authority.ts'
import { point, span } from './time-words.ts'

const mostNames = 5

/** As `openssl x509 -fingerprint -sha256` writes it, to be compared by eye. */
export function fingerprintText(fingerprint: string): string {
  return fingerprint.toUpperCase().match(/../g)?.join(':') ?? ''
}

/** `every host`, or the names that a root is bound to. */
export function signsForText(names: readonly string[] | undefined): string {
  if (names === undefined || names.length === 0) return 'every host'
  const shown = names.slice(0, mostNames).join(', ')
  return `${shown}${names.length > mostNames ? ` and ${names.length - mostNames} more` : ''} (and what is below), nothing else`
}

export function caText(status: CaStatus, nowMs: number): string {
  if (status.state === 'absent') {
    return `there is no root yet: the proxy makes it in ${escapeText(status.path)} when a rule first looks inside TLS, and \`sallyport ca rotate\` makes it now\nuntil then no client has to trust anything\n`
  }
  if (status.state === 'unusable') return `the root cannot be used, and hosts whose rules look inside TLS are refused (ca_unavailable):\n${escapeText(status.detail)}\n`
  return usableText(status, nowMs)
}

function usableText({ path, keyPath, keyKind, subject, origin, fingerprint, notBeforeMs, notAfterMs, constraints, kept, notices }: UsableCa, nowMs: number): string {
  const rows = [
    ['certificate', path],
    ['key', `${keyPath} (${keyKind})`],
    ['subject', `${subject}, ${origin === 'made' ? 'made here' : 'supplied'}`],
    ['sha256', fingerprintText(fingerprint)],
    ['valid', `${point(notBeforeMs)} until ${point(notAfterMs)}, ${span(notAfterMs - nowMs)} left`],
    ['signs for', signsForText(constraints)],
    ...kept.map((each) => [each.role === 'next' ? 'prepared' : 'replaced', `${each.subject} in ${each.path}, until ${point(each.notAfterMs)}`]),
    ...notices.map((notice) => ['notice', notice]),
  ]
  return rows.map(([name = '', value = '']) => `${name.padEnd(11)}  ${escapeText(value)}\n`).join('')
}

/** The keys of `--json`. */
export function caJson(status: CaStatus): object {
  const place = { state: status.state, path: status.path, key_path: status.keyPath }
  if (status.state === 'absent') return place
  if (status.state === 'unusable') return { ...place, detail: status.detail }
  return {
    ...place,
    key: status.keyKind,
    origin: status.origin,
    ...rootJson(status),
    kept: status.kept.map((each) => ({ role: each.role, path: each.path, ...rootJson(each) })),
    notices: status.notices,
  }
}

function rootJson({ subject, fingerprint, notBeforeMs, notAfterMs, constraints }: RootInfo): object {
  return {
    subject,
    sha256: fingerprint,
    not_before: new Date(notBeforeMs).toISOString(),
    not_after: new Date(notAfterMs).toISOString(),
    constraints: constraints ?? null,
  }
}
