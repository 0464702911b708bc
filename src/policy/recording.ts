// What a session that records changes about an answer: its tunnels are looked into where they may be, since an opaque one
// shows no page, and who is asked is told of it. Pure. It opens nothing and closes nothing.
import type { Answer } from './answers.ts'
import type { Facts, Principal } from './facts.ts'
import { isNeverIntercepted } from './never-intercept.ts'
import type { Policy } from './policy.ts'

/** What reviewers are told of a question of such a session: the end of a sentence. */
export function recordingNote({ record }: Principal): string {
  return record === true ? '; this session records, so what it reads is kept in the web cache for others' : ''
}

export function judgeRecording(policy: Policy, facts: Facts, answer: Answer): Answer {
  const { principal, stage, scheme, host } = facts
  if (principal.record !== true || answer.verdict === 'deny') return answer
  const { obligations } = answer
  const isLookedInto = stage === 'connect' && scheme === 'https' && obligations.inspect === 'none' && obligations.raw === undefined && !isNeverIntercepted(policy, host)
  const reason = answer.verdict === 'ask' ? `${answer.reason}${recordingNote(principal)}` : answer.reason
  return { ...answer, reason, obligations: isLookedInto ? { ...obligations, inspect: 'intercept' } : obligations }
}
