// The credentials of this process for those who send them: the secret of each by name, read when it is needed, and the
// placeholder that agents hold instead of it. It is handed from hand to hand and never logged, shown or put in an event.
import { randomInt } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { readCredential, unavailable } from './credential-source.ts'
import type { Environment } from './environment.ts'
import type { CredentialSettings } from './settings.ts'

/** A rotated secret is in use after this at the latest. */
const keptMs = 30_000

/** What tells whose a key is; kept in a placeholder, so that clients that look at it take it. Longest first. */
const knownPrefixes: readonly string[] = [
  'sk-ant-api03-', 'sk-ant-oat01-', 'github_pat_', 'sk-svcacct-', 'sk-or-v1-', 'sk-proj-', 'sk-ant-', 'glpat-', 'hf_', 'xoxb-', 'xoxp-', 'xapp-', 'pypi-', 'npm_',
  'ghp_', 'gho_', 'ghu_', 'ghs_', 'ghr_', 'AIza', 'AKIA', 'sk-', 'pk-',
]
/** with fewer, a placeholder could be guessed, or be the secret itself */
const minRandom = 8

export class Credentials {
  readonly #settings: ReadonlyMap<string, CredentialSettings>
  readonly #env: Environment
  readonly #clock: Clock
  readonly #kept = new Map<string, { readonly value: string; readonly readMs: number }>()
  readonly #reading = new Map<string, Promise<string>>()
  readonly #dummies = new Map<string, Promise<string>>()

  constructor(settings: readonly CredentialSettings[], env: Environment, clock: Clock) {
    this.#settings = new Map(settings.map((each) => [each.name, each]))
    this.#env = env
    this.#clock = clock
  }

  /** The secret as it is now, or was within the last 30 s. Rejects with ProxyError `credential_unavailable`. */
  value(name: string): Promise<string> {
    const kept = this.#kept.get(name)
    if (kept !== undefined && this.#clock.monotonic() - kept.readMs < keptMs) return Promise.resolve(kept.value)
    let reading = this.#reading.get(name)
    if (reading === undefined) {
      // who asks meanwhile gets the same answer: one program at a time
      reading = this.#read(name).finally(() => this.#reading.delete(name))
      this.#reading.set(name, reading)
    }
    return reading
  }

  /**
   * The placeholder: as the settings say, else one of the secret's shape, made once and the same as long as the process
   * lives. Rejects with ProxyError `credential_unavailable`.
   */
  dummy(name: string): Promise<string> {
    let dummy = this.#dummies.get(name)
    if (dummy === undefined) {
      dummy = this.#makeDummy(name)
      this.#dummies.set(name, dummy)
      dummy.catch(() => this.#dummies.delete(name))
    }
    return dummy
  }

  async #read(name: string): Promise<string> {
    const settings = this.#settingsOf(name)
    const readMs = this.#clock.monotonic()
    this.#kept.delete(name)
    const value = await readCredential(settings, this.#env)
    if (value === settings.dummy) throw unavailable(name, 'its `dummy` is the secret itself')
    if (settings.source.kind !== 'env') this.#kept.set(name, { value, readMs })
    return value
  }

  async #makeDummy(name: string): Promise<string> {
    const { dummy } = this.#settingsOf(name)
    if (dummy !== undefined) return dummy
    const made = dummyFor(await this.value(name))
    if (made === undefined) throw unavailable(name, 'it is too short for a placeholder of its shape: write `dummy`')
    return made
  }

  #settingsOf(name: string): CredentialSettings {
    const settings = this.#settings.get(name)
    if (settings === undefined) throw unavailable(name, 'the settings know none of this name')
    return settings
  }
}

/** As long as the secret, with its prefix and, character by character, of its classes; undefined when little would differ. */
export function dummyFor(secret: string): string | undefined {
  const prefix = knownPrefixes.find((each) => secret.startsWith(each)) ?? ''
  const rest = secret.slice(prefix.length)
  if ((rest.match(/[A-Za-z\d]/g) ?? []).length < minRandom) return undefined
  const letters = /^[\da-f-]+$/.test(rest) ? 'abcdef' : 'abcdefghijklmnopqrstuvwxyz'
  const capitals = /^[\dA-F-]+$/.test(rest) ? 'ABCDEF' : 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
  for (;;) {
    const made = prefix + Array.from(rest, (c) => pick(/\d/.test(c) ? '0123456789' : /[a-z]/.test(c) ? letters : /[A-Z]/.test(c) ? capitals : c)).join('')
    if (made !== secret) return made
  }
}

function pick(from: string): string {
  return from.charAt(randomInt(from.length))
}
