// A listener as a URL: how it is told to people and programs. Never for what a client sent.

import { uriHost } from '../target/host.ts'

/** Of one that speaks http in the clear. */
export function urlOf({ address, port }: { readonly address: string; readonly port: number }): string {
  return `http://${uriHost(address)}:${port}`
}

export function portOf(url: string): number {
  return Number(/\d+$/.exec(url)?.[0])
}
