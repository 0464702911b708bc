// Names for a list of denied domains: as many as wanted, all different, in no order, the same every time,
// and none that could exist (RFC 6761: .example and .test).

/** The name at a place in the list; the multiplier is odd, so no two places share a hash. */
export function deniedName(place: number): string {
  const hash = (Math.imul(place, 0x9e37_79b1) >>> 0).toString(16).padStart(8, '0')
  return place % 2 === 0 ? `h${hash}.example` : `h${hash}.s${place % 1000}.test`
}

export function deniedNames(count: number): readonly string[] {
  return Array.from({ length: count }, (_, place) => deniedName(place + 1))
}
