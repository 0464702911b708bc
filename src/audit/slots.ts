// A small memory for what is made again and again from the same parts: a fixed number of places, each holding the
// last that fell on it, so that it never grows and nothing in it lives long. It must never answer by the place
// alone: whoever reads it compares all that its text was made of.

const count = 256

export class Slots<T> {
  readonly #kept: (T | undefined)[] = Array.from({ length: count }, () => undefined)

  get(place: number): T | undefined {
    return this.#kept[place]
  }

  put(place: number, value: T | undefined): void {
    this.#kept[place] = value
  }
}

/** Where to look for what was made of `text` and `number`: a few of its characters tell. */
export function placeOf(text: string, number: number): number {
  const { length } = text
  if (length < 4) return (length + number) & (count - 1)
  const before = text.charCodeAt(1) * 7 + text.charCodeAt(3) * 29
  return (length + number + before + text.charCodeAt(length >> 1) * 53 + text.charCodeAt(length >> 2) * 101) & (count - 1)
}
