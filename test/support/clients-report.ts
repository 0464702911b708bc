// Turns what clients were seen to print into the captured parts of docs/clients.md, which stand between
// marker comments; the rest of the page is written by hand and left alone.
import { clientNames, type ClientName } from './clients.ts'
import type { CapturedClient, RefusalCase, ShownRefusal, Shows } from './client-refusals.ts'
import type { Scheme } from './client-world.ts'

export const words: Readonly<Record<Shows, string>> = {
  reason: 'the reason',
  'reason in the body': 'the reason, in the body',
  number: 'only the number',
  nothing: 'nothing of it',
}

/** The text between the markers of `name`; undefined where the page has no such markers. */
export function captured(page: string, name: string): string | undefined {
  return markers(name).exec(page)?.groups?.['text']?.trim()
}

export function withCaptured(page: string, name: string, text: string): string {
  if (captured(page, name) === undefined) throw new Error(`docs/clients.md has no markers for \`${name}\``)
  return page.replace(markers(name), () => `<!-- captured: ${name} -->\n${text}\n<!-- end -->`)
}

function markers(name: string): RegExp {
  return new RegExp(`<!-- captured: ${name} -->\\n(?<text>[^]*?)<!-- end -->`)
}

/** One row a client: how much of a refusal its user sees. `before` is the page as it is; it keeps the row
 * of a client that was not run now. */
export function renderTable(before: string, results: ReadonlyMap<ClientName, CapturedClient>): string {
  const rows = clientNames.map((name) => {
    const client = results.get(name)
    return client === undefined ? (tableRow(before, name) ?? `| [${name}](#${name}) | – | – | – | – |`) : renderRow(client)
  })
  return ['| client | a denied host over https | a denied host over http | a host that is down | seen with |', '|---|---|---|---|---|', ...rows].join('\n')
}

export function tableRow(page: string, name: ClientName): string | undefined {
  return captured(page, 'table')?.split('\n').find((line) => line.startsWith(`| [${name}](`))
}

export function renderRow(client: CapturedClient): string {
  const [denied, deniedPlain] = [cell(client, 'denied', 'https'), cell(client, 'denied', 'http')]
  const down = client.refusals.find(({ which }) => which === 'down')
  return `| [${client.name}](#${client.name}) | ${denied} | ${deniedPlain} | ${down === undefined ? '–' : cellText(down)} | ${client.version} |`
}

function cell(client: CapturedClient, which: RefusalCase, scheme: Scheme): string {
  const found = client.refusals.find((refusal) => refusal.which === which && refusal.scheme === scheme)
  return found === undefined ? '–' : cellText(found)
}

function cellText({ shows, exitCode }: ShownRefusal): string {
  return `${words[shows]}; exit ${exitCode}`
}

/** The client's own words, as a console shows them. */
export function renderClient(client: CapturedClient): string {
  const quoted = client.refusals.filter(({ which, scheme }) => which === 'denied' || scheme === (client.name === 'node-http' ? 'http' : 'https'))
  const blocks = quoted.map(({ commandLine, output, exitCode }) => `$ ${commandLine}\n${output}\n[exit ${exitCode}]`)
  return `\`\`\`console\n${blocks.join('\n\n')}\n\`\`\``
}

/** Whether a client of this version is expected to print what the page quotes, word for word. */
export function sameRelease(page: string, client: CapturedClient): boolean {
  return sameVersion(tableRow(page, client.name) ?? '', client.version)
}

/** `row`: one whose last cell is the version that it was seen with. */
export function sameVersion(row: string, version: string): boolean {
  const release = (text: string): string => text.split('.').slice(0, 2).join('.')
  return release(row.split('|').at(-2)?.trim() ?? '') === release(version)
}

export function renderPage(page: string, results: readonly CapturedClient[]): string {
  const byName = new Map(results.map((client) => [client.name, client]))
  const withTable = withCaptured(page, 'table', renderTable(page, byName))
  return results.reduce((text, client) => withCaptured(text, client.name, renderClient(client)), withTable)
}
