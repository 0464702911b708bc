// The tests that every client has: what a refusal looks like to its user, that the journal knows of each
// one, and that docs/clients.md quotes what this client prints.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Test } from 'tap'
import { captureRefusals, refusalCases, type CapturedClient } from './client-refusals.ts'
import { startClientWorld, type ClientWorld } from './client-world.ts'
import { captured, renderClient, renderRow, sameRelease, sameVersion, tableRow } from './clients-report.ts'
import { clients, findClient, type ClientName } from './clients.ts'
import { captureInside, insideRow, renderInsideRow, renderInsideWords, startInside } from './inside-refusals.ts'

export function testRefusals(t: Test, name: ClientName): void {
  const { program, options } = findClient(name)
  t.test(`${name}: a denied host, an unknown one and one that is down each end in a refusal that the journal explains`, options, async (t) => {
    const world = await startClientWorld(t)
    const client = await captureRefusals(world, name, program)
    for (const { which, scheme, exitCode, output, shows } of client.refusals) {
      t.comment(`${which} over ${scheme}: exit ${exitCode}, shows ${shows}`)
      t.not(output, '', `${which} over ${scheme}: the user sees something`)
    }
    await journalKnows(t, world, name)
    t.equal(world.origins.https.connections() + world.origins.http.connections(), 0)
    pageAgrees(t, client)
  })
}

/** A request that is refused inside TLS, which only a client of https has. */
export function testInside(t: Test, name: ClientName): void {
  const { program, options } = findClient(name)
  t.test(`${name}: a request that is refused inside TLS is shown as the page says`, options, async (t) => {
    const world = await startInside(t)
    const refusal = await captureInside(world, name, program)
    t.comment(`exit ${refusal.exitCode}, shows ${refusal.shows}`)
    t.not(refusal.output, '', 'the user sees something')
    await world.proxy.recorded(({ attributes }) => attributes['sallyport.code'] === 'request_not_allowed')
    t.equal(world.origin.connections(), 0)
    const page = readPage()
    const row = insideRow(page, name) ?? ''
    if (!sameVersion(row, refusal.version)) {
      t.comment(`docs/clients.md was written with another release than ${refusal.version}`)
      if (row.includes('| the reason')) t.match(refusal.shows, /^reason/)
      return
    }
    t.equal(withoutVersion(renderInsideRow(refusal)), withoutVersion(row))
    t.match(captured(page, 'inside-words'), renderInsideWords(refusal))
  })
}

/** Waits for each record, so a missing one is a test that does not end. */
async function journalKnows(t: Test, world: ClientWorld, name: ClientName): Promise<void> {
  for (const { host, code } of Object.values(refusalCases)) {
    for (const scheme of clients[name].schemes) {
      const protocol = scheme === 'https' ? 'https_connect' : 'http'
      const record = await world.proxy.recorded(({ attributes }) =>
        attributes['server.address'] === host && attributes['sallyport.code'] === code && attributes['network.transport.protocol'] === protocol)
      t.match(record.attributes['sallyport.request.id'], /^01/, `${host} over ${scheme}: ${code}`)
    }
  }
}

/** Word for word where this is the release that the page was written with; otherwise a newer client may
 * word it differently, and it is enough that what the page says it shows is still shown. */
function pageAgrees(t: Test, client: CapturedClient): void {
  const page = readPage()
  if (sameRelease(page, client)) {
    t.equal(withoutVersion(renderRow(client)), withoutVersion(tableRow(page, client.name) ?? ''))
    t.same(tellingLines(renderClient(client)), tellingLines(captured(page, client.name) ?? ''))
    return
  }
  t.comment(`docs/clients.md was written with another release than ${client.version}`)
  const block = captured(page, client.name) ?? ''
  for (const { commandLine, shows, which } of client.refusals) {
    const quoted = block.split('\n\n').find((text) => text.includes(`$ ${commandLine}\n`))
    if (quoted?.includes(refusalCases[which].reason) === true) t.match(shows, /^reason/, commandLine)
    else if (quoted?.includes(String(refusalCases[which].status)) === true) t.not(shows, 'nothing', commandLine)
  }
}

function readPage(): string {
  return readFileSync(resolve(import.meta.dirname, '../../docs/clients.md'), 'utf8')
}

function withoutVersion(row: string): string {
  return row.split('|').slice(0, -2).join('|')
}

/** The lines that tell of the refusal; the others (what is being connected to, frames) may vary by build. */
function tellingLines(text: string): string[] {
  return text.split('\n').filter((line) => /^\$ |^\[exit|\b(?:403|502)\b|Denied by policy|Destination failed|"reason"|No matching/.test(line))
}
