// Small pages of the cache as they were last written, whole: what hits of one page within one second are answered with is
// the same to the byte. It looks nothing up: whoever asks has found the page and has its checked content in hand, and what
// stands here is of that very content or is not used. INVARIANT: what it keeps is bounded, and goes with its second.
import type { AnswerPlan } from '../cache/conditional.ts'
import type { ClientResponse, KnownHead } from '../egress/client-leg.ts'
import type { CachedPage } from './cached.ts'
import { knownHead, PlainAnswer, type RenderedAnswer } from './plain-answer.ts'

interface RenderedPage {
  readonly content: Uint8Array
  readonly ageS: number
  readonly ttlS: number
  readonly via: string
  readonly answer: RenderedAnswer
}

const maxPages = 256
const maxContentBytes = 16_384

export class RenderedPages {
  /** by the plan that all hits of a page have, where they ask for nothing but the page */
  #pages = new Map<AnswerPlan, RenderedPage>()
  #date = ''

  /** True: the page was written, and the answer ended. */
  answer(response: ClientResponse, page: CachedPage, content: Uint8Array, via: string): boolean {
    const { plan, found: { held, standing: { ageMs, ttlMs } } } = page
    const isPlain = response instanceof PlainAnswer && held === undefined && plan.hasContent && plan.range === undefined
    if (!isPlain || content.length === 0 || content.length > maxContentBytes) return false
    const ageS = Math.floor(ageMs / 1000)
    const ttlS = Math.floor(ttlMs / 1000)
    const known = this.#pages.get(plan)
    const isSame = known !== undefined && known.content === content && known.ageS === ageS && known.ttlS === ttlS && known.via === via
    if (isSame && response.endRendered(known.answer)) return true
    const answer = response.render(headOf(plan), [...page.made, 'Via', via], content)
    if (answer === undefined) return false
    this.#keep(plan, { content, ageS, ttlS, via, answer })
    return response.endRendered(answer)
  }

  #keep(plan: AnswerPlan, page: RenderedPage): void {
    if (this.#date !== page.answer.date || this.#pages.size >= maxPages) this.#pages = new Map()
    this.#date = page.answer.date
    this.#pages.set(plan, page)
  }
}

/** A page that is asked for plainly has one plan for all of its hits. */
export function headOf(plan: AnswerPlan): KnownHead {
  const known = heads.get(plan)
  if (known !== undefined) return known
  const head = knownHead(plan.status, plan.reason, plan.fields)
  // in one piece it is copied faster
  const made = { ...head, text: Buffer.from(head.text, 'latin1').toString('latin1') }
  heads.set(plan, made)
  return made
}

const heads = new WeakMap<AnswerPlan, KnownHead>()
