// Sizes of content as policies write and people read them. Pure.

const units: Readonly<Record<string, number>> = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }

/** `1 MiB`, `1.5 GiB`, `512B`, or a whole number of bytes; undefined when it is none of these. */
export function parseSize(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : undefined
  if (typeof value !== 'string') return undefined
  const [, amount = '', unit = ''] = /^(\d{1,9}(?:\.\d{1,6})?) ?(B|KiB|MiB|GiB)$/.exec(value) ?? []
  const bytes = Number(amount) * (units[unit] ?? Number.NaN)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** `1 MiB` where that is the whole of it, else bytes. */
export function formatSize(bytes: number): string {
  const unit = (['GiB', 'MiB', 'KiB'] as const).find((each) => bytes > 0 && bytes % (units[each] ?? 1) === 0)
  if (unit !== undefined) return `${bytes / (units[unit] ?? 1)} ${unit}`
  return bytes === 1 ? '1 byte' : `${bytes} bytes`
}
