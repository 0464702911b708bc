// Durations as people write them in the control API and on the command line. Pure.

const units: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `30s`, `15m`, `8h`, `7d` as `ms`: a whole number from 1 and one unit, nothing else; undefined for all other text. */
export function parseDuration(text: string): number | undefined {
  const [, amount = '', unit = ''] = /^([1-9]\d{0,6})([smhd])$/.exec(text) ?? []
  const factor = units[unit]
  return factor === undefined ? undefined : Number(amount) * factor
}
