// What passes between the thread that reads pages and the one that has them read.

export interface PageJob {
  readonly id: number
  readonly bytes: Uint8Array
  /** value of the field */
  readonly contentType: string
  /** where it came from at last */
  readonly url: string
  readonly format: 'text' | 'markdown'
  /** seconds; undefined: it came from its origin just now */
  readonly ageS: number | undefined
}

export interface PageYield {
  readonly id: number
  readonly text?: string
  /** why there is none: a clause */
  readonly fault?: string
}

/** Its page is more than is read, or is none; the message is a clause. */
export class UnreadablePage extends Error {}
