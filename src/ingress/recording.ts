// One live GET of a session that records: forwarded as any other, with a copy of its answer on the way into the web cache.
// The client gets what it would have got, when it would have got it; nothing here waits or changes a byte.
import { cacheUrl } from '../cache/cache-url.ts'
import { recordableFields } from '../cache/recordable.ts'
import type { Admitted } from '../gate/admitted.ts'
import type { IngressContext } from './context.ts'
import type { ReadExchange } from './read-request.ts'
import type { Send } from './shared-cache.ts'
import { SharedResponse } from './shared-response.ts'

/** `send` with a copy; undefined: of this request nothing is kept. */
export function recorded(context: IngressContext, { target, head }: ReadExchange, { exchange, decision }: Admitted, send: Send): Send | undefined {
  const { recorder, sessions } = context
  const { principal } = exchange.facts
  if (principal.record !== true || recorder === undefined) return undefined
  const { method, scheme, host, port, path = '/', query, fields = [] } = exchange.facts
  // in monitor mode what policy would refuse is nobody's to keep
  if (method !== 'GET' || head.hasBody || decision.monitored !== undefined) return undefined
  const asked = recordableFields(fields, decision.obligations)
  const session = sessions.live(principal.session)
  if (asked === undefined || session === undefined) return undefined
  return async (leg) => {
    const recording = recorder.begin({
      url: cacheUrl(target),
      place: { scheme, host: host.text, port, path, query },
      fields: asked,
      team: principal.team,
      by: session.createdBy,
      requestId: exchange.id,
      isLive: () => sessions.live(principal.session) !== undefined,
    })
    if (recording === undefined) return send(leg)
    let isDelimited = false
    const response = new SharedResponse(leg.response, (status, reason, answered) => {
      const isKept = recording.open({ status, reason, fields: answered }, isDelimited)
      return { kind: 'pass', fields: [...answered], copy: isKept ? recording : undefined }
    })
    try {
      return await send({
        ...leg,
        response,
        onFraming: (isPlain) => {
          isDelimited = isPlain
        },
      })
    } finally {
      recording.left()
    }
  }
}
