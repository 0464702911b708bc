// Requests to model providers whose content policy has read first: it is held, judged, and either forwarded as it was
// read or refused. INVARIANT: nothing is resolved or dialled meanwhile, and what cannot be read is refused.
import { requestFields } from '../egress/field-rules.ts'
import type { ErrorCode } from '../errors.ts'
import type { Admitted } from '../gate/admitted.ts'
import type { Refusal } from '../gate/refusal.ts'
import { findSearch, isUpload } from '../policy/provider-search.ts'
import type { ProviderSearch } from '../policy/providers.ts'
import { joinedValue } from '../target/field-list.ts'
import type { IngressContext } from './context.ts'
import { InspectionBudget } from './inspection-budget.ts'
import type { PlainArrival } from './plain.ts'
import type { RequestPresence } from './presence.ts'
import { decodeContent, spoolBody } from './spooled-body.ts'

const maxBodyBytes = 32 * 1024 * 1024
// of all exchanges together
const maxHeldBytes = 256 * 1024 * 1024

/** of each gate: that is, of each proxy in the process */
const budgets = new WeakMap<IngressContext['gate'], InspectionBudget>()

export interface Inspected {
  readonly arrival: PlainArrival
  readonly context: IngressContext
  readonly admitted: Admitted
  readonly presence: RequestPresence
  readonly search: ProviderSearch
}

interface Objection {
  readonly code: ErrorCode
  /** as a clause */
  readonly says: string
}

/** Reads the content and judges it. `left`: the client has gone; undefined: it may be forwarded. */
export async function refuseSearch({ arrival, context, admitted, presence, search }: Inspected): Promise<Refusal | 'left' | undefined> {
  const { host, path = '', content } = admitted.exchange.facts
  // a field that Connection takes away does not reach the provider
  const { fields } = requestFields(admitted.exchange.facts.method ?? '', arrival.request.rawHeaders, '', '')
  const contentType = joinedValue(fields, 'content-type')
  if (isUpload(search.api, path, contentType)) return undefined
  const object = async ({ code, says }: Objection): Promise<Refusal | undefined> =>
    context.gate.judgeTunnel(admitted, code, `web reading is ${search.mode}, so what ${host.text} is asked is looked at: ${says}`, 'policy')
  if (typeof content === 'number' && content > maxBodyBytes) return object(tooLarge)
  presence.continue()
  const held = hold(arrival, context)
  const { request } = arrival
  const noLonger = arrival.bodies.expect(request)
  const spooled = await spoolBody(request, { maxBytes: maxBodyBytes, take: held.take })
  noLonger()
  if (spooled.kind === 'left') return 'left'
  if (spooled.kind !== 'whole') return object(spooled.kind === 'too_large' ? tooLarge : noRoom)
  const objection = await objectionTo(spooled.bytes, { search, path, contentType, coding: joinedValue(fields, 'content-encoding'), take: held.take })
  held.keep(spooled.bytes.length)
  return objection === undefined ? undefined : object(objection)
}

const tooLarge: Objection = { code: 'body_too_large_to_inspect', says: `its body is larger than ${maxBodyBytes / 1024 / 1024} MiB` }
const noRoom: Objection = { code: 'inspection_busy', says: 'too many bodies are being inspected' }

interface Reading {
  readonly search: ProviderSearch
  readonly path: string
  readonly contentType: string | undefined
  readonly coding: string | undefined
  readonly take: (bytes: number) => boolean
}

async function objectionTo(bytes: Buffer, { search, path, contentType, coding, take }: Reading): Promise<Objection | undefined> {
  const decoded = await decodeContent(bytes, coding, maxBodyBytes)
  if ('wrong' in decoded) {
    if (decoded.wrong === 'too_large') return { code: 'body_too_large_to_inspect', says: 'its body is too large without its Content-Encoding' }
    return { code: 'body_unreadable', says: decoded.wrong === 'coding' ? 'its Content-Encoding is none of gzip, deflate, br and zstd' : 'its body is not in its Content-Encoding' }
  }
  if (decoded.bytes !== bytes && !take(decoded.bytes.length)) return noRoom
  const found = findSearch({ api: search.api, path, contentType, body: decoded.bytes }, search)
  if (found.kind === 'searches') return { code: 'provider_search_refused', says: found.what }
  return found.kind === 'unreadable' ? { code: 'body_unreadable', says: found.why } : undefined
}

interface Held {
  readonly take: (bytes: number) => boolean
  /** so many bytes stay until the exchange is over, and no more */
  readonly keep: (bytes: number) => void
}

/** What the exchange holds, until its answer is out or its client gone. */
function hold({ response }: PlainArrival, { gate }: IngressContext): Held {
  let budget = budgets.get(gate)
  if (budget === undefined) budgets.set(gate, (budget = new InspectionBudget(maxHeldBytes)))
  const shared = budget
  let mine = 0
  response.once('close', () => {
    shared.give(mine)
    mine = 0
  })
  return {
    take: (bytes) => {
      if (!shared.take(bytes)) return false
      mine += bytes
      return true
    },
    keep: (bytes) => {
      if (mine <= bytes) return
      shared.give(mine - bytes)
      mine = bytes
    },
  }
}
