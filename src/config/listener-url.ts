// A listener as a URL: how it is told to people and programs. Never for what a client sent.

/** Of one that speaks http in the clear. */
export function urlOf({ address, port }: { readonly address: string; readonly port: number }): string {
  return `http://${address.includes(':') ? `[${address}]` : address}:${port}`
}

export function portOf(url: string): number {
  return Number(/\d+$/.exec(url)?.[0])
}
