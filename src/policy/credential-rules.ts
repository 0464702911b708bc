// Rules that send a credential, against what process settings know of it: that there is one of that name, and where it
// may go. The settings decide, not the policy; of the secret itself nothing is known here.
import { isWildcard } from './pattern.ts'
import type { HostPattern } from './pattern.ts'
import type { SourceReader } from './problem.ts'
import type { DraftRule } from './rule-schema.ts'
import { suggestion } from './suggestion.ts'

/** What settings say of a credential; plain data, no secret. */
export interface KnownCredential {
  readonly name: string
  /** `host:port`, canonical, IPv6 in brackets: where it may be sent, and nowhere else */
  readonly hosts: readonly string[]
  /** rules of every layer may send it, also below a managed allow list */
  readonly anyLayer: boolean
}

interface DraftFile {
  readonly file: SourceReader
  readonly rules: readonly DraftRule[]
}

/** Reports every rule whose credential is not known, or that would send it elsewhere. `known` undefined: not checked. */
export function checkCredentials(drafts: readonly DraftFile[], known: readonly KnownCredential[] | undefined): void {
  for (const { file, rules } of drafts) {
    for (const { effects, hosts } of rules) {
      if (effects?.credential === undefined) continue
      const { at, name } = effects.credential
      if (known === undefined) {
        file.notice(at, `whether there is a credential \`${name}\`, and where it may be sent, is not checked without \`sallyport.toml\``)
        continue
      }
      const credential = known.find((each) => each.name === name)
      if (credential === undefined) {
        const names = known.map((each) => each.name)
        file.error(at, `there is no credential \`${name}\`${suggestion(name, names)}: write \`[credentials.${name}]\` in \`sallyport.toml\``)
        continue
      }
      for (const host of hosts) {
        const place = placeOf(host)
        if (place !== undefined && !credential.hosts.includes(place)) {
          file.error(host.at, `the credential \`${name}\` may not be sent to ${place}: \`hosts\` of \`[credentials.${name}]\` in \`sallyport.toml\` does not name it`)
        }
      }
    }
  }
}

/** Undefined for a pattern that is no single place, which is an error of its own. */
function placeOf({ scope, ports }: HostPattern): string | undefined {
  const port = ports === undefined ? 443 : ports.first
  if (scope.kind === 'exact') return `${scope.name}:${port}`
  if (scope.kind !== 'address' || isWildcard(scope)) return undefined
  const text = scope.cidr.text.split('/', 1)[0] ?? ''
  return `${scope.cidr.family === 6 ? `[${text}]` : text}:${port}`
}
