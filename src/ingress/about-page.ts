// GET / on the proxy listener: what this is and what was refused lately, for somebody who pointed a browser or
// curl at it, and for an agent that wants to know why.
import type { RecentRefusal } from '../gate/recent-refusals.ts'

/** `refusals`: of the session that asks, newest first. */
export function aboutPage(proxyUrl: string, refusals: readonly RecentRefusal[]): string {
  return `sallyport: the guarded way out for software agents.

This is a forward proxy that enforces network policy. Use it by setting

  HTTPS_PROXY=${proxyUrl}
  HTTP_PROXY=${proxyUrl}

or try it once:

  curl -x ${proxyUrl} https://example.com/ -I

A tool that calls a fetch service uses this one, with a session's credentials (format: raw, text or markdown):

  curl -u SESSION:TOKEN '${proxyUrl}/fetch?url=https%3A%2F%2Fexample.com%2F&format=text'

What it refuses is refused on purpose: the answer says why. On the proxy's machine,
\`sallyport why [HOST]\` shows the last refusals and the rules behind them.
${lastRefusals(refusals)}`
}

function lastRefusals(refusals: readonly RecentRefusal[]): string {
  if (refusals.length === 0) return ''
  const lines = refusals.map(({ timeMs, code, reason, requestId, approvalId }) => {
    const follow = approvalId === undefined ? '' : `\n      follow it: GET /approvals/${approvalId}?wait=20; say why: POST /approvals/${approvalId}/reason`
    return `  ${new Date(timeMs).toISOString()}  ${reason} (${code}, req ${requestId})${follow}`
  })
  return `\nThis session's last refusals:\n\n${lines.join('\n')}\n`
}
