// The type is the lock. `Admitted` says that policy allowed an exchange; `Vetted` says which addresses
// it may reach. Both have private constructors behind gate/seal.ts, and egress accepts nothing else.
import type { GrantUse } from '../approvals/grant-book.ts'
import type { Policy } from '../policy/compile.ts'
import type { Decision } from '../policy/decision.ts'
import type { IpAddress } from '../target/address.ts'
import type { Host } from '../target/host.ts'
import type { Exchange } from './exchange.ts'
import type { Seal } from './seal.ts'

export class Admitted {
  readonly #seal: Seal
  readonly exchange: Exchange
  readonly decision: Decision
  /** the policy that decided, for every later stage: an exchange sees one revision */
  readonly policy: Policy
  /** the grant that answered what policy asks, and for how long */
  readonly use: GrantUse | undefined

  private constructor(seal: Seal, exchange: Exchange, decision: Decision, policy: Policy, use: GrantUse | undefined) {
    this.#seal = seal
    this.exchange = exchange
    this.decision = decision
    this.policy = policy
    this.use = use
  }

  static make(seal: Seal, exchange: Exchange, decision: Decision, policy: Policy, use?: GrantUse): Admitted {
    return new Admitted(seal, exchange, decision, policy, use)
  }

  /** true only for what the gate made; a look-alike object fails at run time too */
  static isGenuine(value: Admitted): boolean {
    return #seal in value && value.#seal !== undefined
  }
}

/** The addresses an admitted exchange may be dialled at: what was judged is what is dialled. */
export class Vetted {
  readonly #seal: Seal
  readonly host: Host
  readonly port: number
  readonly addresses: readonly IpAddress[]

  private constructor(seal: Seal, host: Host, port: number, addresses: readonly IpAddress[]) {
    this.#seal = seal
    this.host = host
    this.port = port
    this.addresses = addresses
  }

  static make(seal: Seal, host: Host, port: number, addresses: readonly IpAddress[]): Vetted {
    return new Vetted(seal, host, port, addresses)
  }

  static isGenuine(value: Vetted): boolean {
    return #seal in value && value.#seal !== undefined
  }
}

/** An admitted name that the parent proxy resolves, because process settings say `resolve = "parent"`. */
export class ParentTarget {
  readonly #seal: Seal
  readonly host: Host
  readonly port: number

  private constructor(seal: Seal, host: Host, port: number) {
    this.#seal = seal
    this.host = host
    this.port = port
  }

  static make(seal: Seal, host: Host, port: number): ParentTarget {
    return new ParentTarget(seal, host, port)
  }

  static isGenuine(value: ParentTarget): boolean {
    return #seal in value && value.#seal !== undefined
  }
}
