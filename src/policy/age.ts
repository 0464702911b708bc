// Ages as policies write them. Pure.

const units: Readonly<Record<string, number>> = { min: 60_000, h: 3_600_000, d: 86_400_000 }

/** `30 d`, `12h`, `90 min` as `ms`; undefined when it is none of these. */
export function parseAge(text: string): number | undefined {
  const [, amount = '', unit = ''] = /^(\d{1,6}) ?(min|h|d)$/.exec(text) ?? []
  const factor = units[unit]
  return factor === undefined ? undefined : Number(amount) * factor
}
