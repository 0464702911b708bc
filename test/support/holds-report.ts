// Turns what became of held clients into the captured parts of docs/clients.md: a table of who waits how long,
// and what each shows when nobody answers. The rest of the page is written by hand and left alone.
import { captured, withCaptured } from './clients-report.ts'
import { clientNames, clients, type ClientName } from './clients.ts'
import type { Answered, HeldClient } from './held-clients.ts'
import type { Scheme } from './client-world.ts'

export const answers: readonly Answered[] = [2, 4, 20, 'nobody']

/** A client and the scheme that it is tried over, in the order of the page. */
export const heldCases: readonly { readonly name: ClientName; readonly scheme: Scheme }[] =
  clientNames.flatMap((name) => clients[name].schemes.map((scheme) => ({ name, scheme })))

/** The page with these results; what was not run now keeps what the page has of it. */
export function renderHolds(page: string, results: readonly HeldClient[]): string {
  const rows = heldCases.map(({ name, scheme }) => {
    const runs = results.filter((run) => run.name === name && run.scheme === scheme)
    return runs.length === 0 ? (heldRow(page, name, scheme) ?? `${rowStart(name, scheme)} – | – | – | – | – |`) : renderHeldRow(runs)
  })
  const head = ['| client | says it is | yes after 2 s | yes after 4 s | yes after 20 s | nobody answers |', '|---|---|---|---|---|---|']
  const withTable = withCaptured(page, 'holds', [...head, ...rows].join('\n'))
  const quotes = renderPending(results)
  return quotes === '' ? withTable : withCaptured(withTable, 'pending', `\`\`\`console\n${quotes}\n\`\`\``)
}

export function heldRow(page: string, name: ClientName, scheme: Scheme): string | undefined {
  return captured(page, 'holds')?.split('\n').find((line) => line.startsWith(rowStart(name, scheme)))
}

function rowStart(name: ClientName, scheme: Scheme): string {
  return `| ${name}, ${scheme} |`
}

/** All of them of one client over one scheme. */
export function renderHeldRow(runs: readonly HeldClient[]): string {
  const [first] = runs
  if (first === undefined) throw new Error('nothing was run')
  const cells = answers.map((answered) => {
    const run = runs.find((entry) => entry.answered === answered)
    return run === undefined ? '–' : outcome(run)
  })
  return `${rowStart(first.name, first.scheme)} ${first.userAgent === undefined ? 'nothing' : `\`${first.userAgent}\``} | ${cells.join(' | ')} |`
}

/** What became of one client, in few words. */
export function outcome(run: HeldClient): string {
  const { answered, isServed, seconds, attempts, exitCode } = run
  const tries = attempts === 1 ? '' : `, at try ${attempts}`
  if (answered === 'nobody') return `told after ${rounded(seconds)} s${attempts === 1 ? '' : ` and ${attempts} tries`}: ${shown(run)}; exit ${exitCode}`
  return isServed ? `served${tries}` : `**gives up** after ${rounded(seconds)} s${tries}; exit ${exitCode}`
}

/** Whole seconds: what is measured holds the client's own start and end. */
function rounded(seconds: number): string {
  return seconds.toFixed(0)
}

function shown({ output }: HeldClient): string {
  if (/Waiting for approval: .*a reviewer has been asked \(approval [^)]*\) \(req /.test(output)) return 'the reason'
  if (output.includes('a reviewer has been asked')) return 'the reason, in the body'
  return /\b403\b/.test(output) ? 'only the number' : 'nothing of it'
}

/** The lines that tell, of each client over the first scheme that it has. */
function renderPending(results: readonly HeldClient[]): string {
  const quoted = results.filter(({ name, scheme, answered }) => answered === 'nobody' && scheme === clients[name].schemes[0])
  return quoted.map(({ commandLine, output, exitCode }) => {
    const telling = output.split('\n').filter((line) => /403|a reviewer has been asked|No matching/.test(line))
    return `$ ${commandLine}\n${telling.join('\n')}\n[exit ${exitCode}]`
  }).join('\n\n')
}
