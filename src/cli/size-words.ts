// Sizes as people read them: `312 B`, `18 KiB`, `1.4 GiB`, and a bar of how full something is. Pure.

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

export function sizeText(bytes: number): string {
  let value = bytes
  let at = 0
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024
    at += 1
  }
  return `${at === 0 || value >= 10 ? String(Math.round(value)) : value.toFixed(1)} ${units[at] ?? ''}`
}

/** `[####------]`; what there is of anything is never drawn as nothing, and never all of it as less. */
export function bar(part: number, whole: number, cells: number): string {
  const share = whole <= 0 ? 0 : Math.min(1, Math.max(0, part / whole))
  const full = share === 0 ? 0 : share === 1 ? cells : Math.min(cells - 1, Math.max(1, Math.round(share * cells)))
  return `[${'#'.repeat(full)}${'-'.repeat(cells - full)}]`
}
