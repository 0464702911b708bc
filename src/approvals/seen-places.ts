// Where a session's credentials came from: every further address or user is told of once. Pure.
import type { SeenFrom } from './session.ts'

// whoever changes its address all the time has been told of by then
const maxPlaces = 16

export class SeenPlaces {
  #first: SeenFrom | undefined
  readonly #addresses = new Set<string>()
  readonly #uids = new Set<number>()

  /** The first place, when this one has an address or a uid that is new beside it; a uid that is not known tells nothing. */
  note({ address, uid }: SeenFrom): SeenFrom | undefined {
    const isNewAddress = isNew(this.#addresses, address)
    const isNewUid = uid !== undefined && isNew(this.#uids, uid)
    const first = this.#first
    if (first === undefined) {
      this.#first = { address, uid }
      return undefined
    }
    // its user became known later than its address
    if (first.uid === undefined && isNewUid && this.#uids.size === 1 && address === first.address) {
      this.#first = { address, uid }
      return undefined
    }
    return isNewAddress || isNewUid ? first : undefined
  }
}

/** Adds what is not in it, while there is room. */
function isNew<T>(known: Set<T>, value: T): boolean {
  if (known.has(value) || known.size >= maxPlaces) return false
  known.add(value)
  return true
}
