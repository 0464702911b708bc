// Patterns that let in anybody who registers a name: over a public suffix, or over most of the addresses.
import { isPublicSuffix } from '../target/registrable-domain.ts'
import { literalTail } from './glob.ts'
import type { HostPattern, Scope } from './pattern.ts'
import type { Path } from './positions.ts'
import type { SourceReader } from './problem.ts'

/** What the scope is wide open for, or undefined. `*` is not among them: it says so itself. */
export function broadness(scope: Scope): string | undefined {
  switch (scope.kind) {
    case 'below':
    case 'apex_and_below':
      return isPublicSuffix(scope.name) ? `anybody may register names below \`${scope.name}\`` : undefined
    case 'glob': {
      const tails = scope.globs.map(literalTail)
      if (tails.includes('')) return 'anybody may register a name that this covers'
      const suffix = tails.find(isPublicSuffix)
      return suffix === undefined ? undefined : `anybody may register names below \`${suffix}\``
    }
    case 'address':
      return scope.cidr.prefix < (scope.cidr.family === 4 ? 8 : 16) ? 'the block holds addresses of everybody' : undefined
    default:
      return undefined
  }
}

/** Refuses or warns of a broad pattern of an allow. */
export function checkBroad(file: SourceReader, at: Path, { scope, text }: HostPattern, broad: 'warn' | 'refuse'): void {
  const why = broadness(scope)
  if (why === undefined) return
  if (broad === 'warn') file.warning(at, `\`${text}\` is broad: ${why}`)
  else file.error(at, `\`${text}\` is broad: ${why}; if that is meant, write it in a rule with \`broad = true\``)
}
