// A GET or HEAD without content, with other fields than it came with, for whoever forwards it: everything else is the
// client's own.
import type { ClientRequest } from '../egress/client-leg.ts'
import { PlainRequest } from './plain-request.ts'

export class SharedRequest extends PlainRequest {
  readonly isStream: boolean
  readonly #httpVersion: string

  constructor(request: ClientRequest, rawHeaders: readonly string[]) {
    const { method, url = '', httpVersion, isStream = false, socket, readOn = noReadOn } = request
    super({ method: method === 'HEAD' ? 'HEAD' : 'GET', url, rawHeaders, isKeptAlive: true }, socket, readOn)
    this.isStream = isStream
    this.#httpVersion = httpVersion
  }

  override get httpVersion(): string {
    return this.#httpVersion
  }
}

function noReadOn(): () => void {
  return noReadOn
}
