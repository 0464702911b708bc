// A small memory for what is made again and again from the same parts: a fixed number of places, each holding the
// last that fell on it, so that it never grows and nothing in it lives long. It must never answer by the place
// alone: whoever reads it compares all that its text was made of.

const count = 256

export class Slots<T> {
  readonly #kept: (T | undefined)[] = Array.from({ length: count }, () => undefined)

  get(place: number): T | undefined {
    return this.#kept[place]
  }

  put(place: number, value: T): void {
    this.#kept[place] = value
  }
}

/** Where to look for what was made of `text` and `number`: some of its characters tell. */
export function placeOf(text: string, number: number): number {
  const { length } = text
  let sum = length + number
  for (let at = 0; at < 4; at++) sum = sum * 31 + (length > at ? text.charCodeAt(at) : 0)
  for (let at = 1; at <= 4; at++) sum = (sum * 31 + (length >= at ? text.charCodeAt(length - at) : 0)) % 1_000_003
  return (sum ^ (length >> 1 < length ? text.charCodeAt(length >> 1) : 0)) & (count - 1)
}
