// Idempotency-Key: a state change that is asked for again with the same key is answered as it was, and not
// done again. Only what was done is kept; a refusal may be tried again. A secret is never kept.
import { hashOfRequest } from '../approvals/kept-answers.ts'
import { actorKey, type ControlContext } from './context.ts'
import { etagOf } from './conditional.ts'
import { ControlFault } from './problem.ts'
import type { Answer, Call, Route } from './route.ts'

/** Handles the call, once for each key. */
export async function answerOnce(route: Route, call: Call, context: ControlContext): Promise<Answer | undefined> {
  const key = call.request.headers['idempotency-key']
  if (key === undefined) return route.handle(call)
  if (typeof key !== 'string' || !/^[\x21-\x7e]{1,128}$/.test(key)) throw new ControlFault('invalid', 'an Idempotency-Key is 1 to 128 visible ASCII characters')
  const { answers } = context.deps
  // a name may pass to somebody else within the day, a token never
  const actor = call.actor.tokenId ?? actorKey(call.actor)
  const hash = hashOfRequest(route.method, call.request.url, call.body)
  const kept = answers.find(actor, key)
  if (kept !== undefined) {
    if (kept.requestHash !== hash) throw new ControlFault('key_reused', 'this Idempotency-Key was used for another request')
    return replay(kept.status, kept.body)
  }
  const place = `${actor}\n${key}`
  if (context.inProgress.has(place)) throw new ControlFault('in_progress', 'a request with this Idempotency-Key is being answered', { headers: { 'retry-after': '1' } })
  context.inProgress.add(place)
  try {
    const answer = await route.handle(call)
    if (answer?.body !== undefined) {
      const body = route.keep?.(answer.body) ?? answer.body
      answers.keep(actor, key, { requestHash: hash, status: answer.status ?? 200, body: JSON.stringify(body) })
    }
    return answer
  } finally {
    context.inProgress.delete(place)
  }
}

function replay(status: number, text: string): Answer {
  const body: unknown = JSON.parse(text)
  if (typeof body !== 'object' || body === null) throw new Error('a kept answer is no object')
  const version = 'version' in body && typeof body.version === 'number' ? { etag: etagOf(body.version) } : {}
  return { status, body, headers: { ...version, 'idempotency-replayed': 'true' } }
}
