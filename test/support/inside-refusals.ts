// What a client shows its user of a request that is refused inside TLS: the CONNECT was answered, the handshake is through,
// and the refusal is an answer like any other, with a body. Run, captured, and turned into its part of docs/clients.md.
import { captured, withCaptured, words } from './clients-report.ts'
import { normalised, showsOf, type Shows } from './client-refusals.ts'
import type { Program } from './client-run.ts'
import { clientNames, clients, type ClientName } from './clients.ts'
import type { Scope } from './scope.ts'
import { startSecureWorld, type SecureWorld } from './secure-world.ts'

export interface InsideRefusal {
  readonly name: ClientName
  readonly version: string
  readonly commandLine: string
  readonly exitCode: number
  /** normalised */
  readonly output: string
  readonly shows: Shows
}

/** Those that speak https, in the order of the page. */
export const insideNames: readonly ClientName[] = clientNames.filter((name) => clients[name].schemes.includes('https'))

const shownBase = 'https://origin.test'

export function startInside(scope: Scope): Promise<SecureWorld> {
  return startSecureWorld(scope, { rules: { read: 'methods = ["GET"]\npaths = ["/open"]' } })
}

export async function captureInside(world: SecureWorld, name: ClientName, program: Program): Promise<InsideRefusal> {
  const { reach, shown } = clients[name]
  const { exitCode, output } = await world.run(program.command, [...program.args, ...reach(world.base)])
  return {
    name, version: program.version, commandLine: shown(shownBase), exitCode,
    output: normalised(output, world).replaceAll(world.authority, 'origin.test'),
    shows: showsOf(output, 'no rule of origin.test allows GET /\\S*', 403),
  }
}

/** The page with these results; what was not run now keeps what the page has of it. */
export function renderInside(page: string, results: readonly InsideRefusal[]): string {
  const rows = insideNames.map((name) => {
    const result = results.find((each) => each.name === name)
    return result === undefined ? (insideRow(page, name) ?? `${rowStart(name)} – | – |`) : renderInsideRow(result)
  })
  const table = ['| client | a request that is refused inside TLS | seen with |', '|---|---|---|', ...rows].join('\n')
  const withTable = withCaptured(page, 'inside', table)
  return results.length === 0 ? withTable : withCaptured(withTable, 'inside-words', `\`\`\`console\n${results.map(renderInsideWords).join('\n\n')}\n\`\`\``)
}

export function renderInsideRow({ name, version, shows, exitCode }: InsideRefusal): string {
  return `${rowStart(name)} ${words[shows]}; exit ${exitCode} | ${version} |`
}

export function insideRow(page: string, name: ClientName): string | undefined {
  return captured(page, 'inside')?.split('\n').find((line) => line.startsWith(rowStart(name)))
}

/** Of the client's own words the lines that tell; the hint, which is long, stands on the page elsewhere. */
export function renderInsideWords({ commandLine, output, exitCode }: InsideRefusal): string {
  const telling = output.replaceAll(/"hint":"[^"]*"/g, '"hint":"…"').split('\n').filter((line) => /\b403\b|no rule of origin\.test|No matching/.test(line))
  return `$ ${commandLine}\n${telling.join('\n')}\n[exit ${exitCode}]`
}

function rowStart(name: ClientName): string {
  return `| [${name}](#${name}) |`
}
