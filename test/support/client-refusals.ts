// What a client shows its user of a host that is denied, that no rule names, or whose origin is down: run,
// captured and made comparable (request ids, ports, folders, dates and stack frames taken out).
import { clients, type ClientName } from './clients.ts'
import type { Program } from './client-run.ts'
import { downPort, type ClientWorld, type Scheme } from './client-world.ts'

export type RefusalCase = 'denied' | 'unknown' | 'down'

/** how much of a refusal reaches the user: the sentence, the sentence inside the body only, the status, or nothing */
export type Shows = 'reason' | 'reason in the body' | 'number' | 'nothing'

export interface ShownRefusal {
  readonly which: RefusalCase
  readonly scheme: Scheme
  readonly commandLine: string
  readonly exitCode: number
  /** normalised */
  readonly output: string
  readonly shows: Shows
}

export interface CapturedClient {
  readonly name: ClientName
  readonly version: string
  readonly refusals: readonly ShownRefusal[]
}

export const refusalCases: Readonly<Record<RefusalCase, { readonly authority: string; readonly host: string; readonly status: number; readonly reason: string; readonly code: string }>> = {
  denied: { authority: 'denied.test', host: 'denied.test', status: 403, reason: 'denied.test is on the denied list', code: 'denied_by_rule' },
  unknown: { authority: 'unknown.test', host: 'unknown.test', status: 403, reason: 'no rule allows unknown.test', code: 'not_allowed' },
  down: { authority: `down.test:${downPort}`, host: 'down.test', status: 502, reason: 'the destination refused the connection', code: 'connection_refused' },
}

const requestId = /\b01[0-9A-HJKMNP-TV-Z]{24}\b/g

export async function captureRefusals(world: ClientWorld, name: ClientName, program: Program): Promise<CapturedClient> {
  const refusals: ShownRefusal[] = []
  for (const which of ['denied', 'unknown', 'down'] as const) {
    for (const scheme of clients[name].schemes) refusals.push(await captureRefusal(world, name, program, which, scheme))
  }
  return { name, version: program.version, refusals }
}

async function captureRefusal(world: ClientWorld, name: ClientName, program: Program, which: RefusalCase, scheme: Scheme): Promise<ShownRefusal> {
  const { reach, shown } = clients[name]
  const base = `${scheme}://${refusalCases[which].authority}`
  const { exitCode, output } = await world.run(program.command, [...program.args, ...reach(base)])
  return { which, scheme, commandLine: shown(base), exitCode, output: normalised(output, world), shows: showsOf(output, refusalCases[which].reason, refusalCases[which].status) }
}

/** `reason`: what a pattern of it matches. */
export function showsOf(output: string, reason: string, status: number): Shows {
  if (new RegExp(`(?:policy|failed): [^"]*${reason} \\(req `).test(output)) return 'reason'
  if (new RegExp(reason).test(output)) return 'reason in the body'
  return new RegExp(`\\b${status}\\b`).test(output) ? 'number' : 'nothing'
}

export function normalised(output: string, world: Pick<ClientWorld, 'dir' | 'proxy'>): string {
  const text = output
    .replaceAll(requestId, '01J…')
    .replaceAll(`127.0.0.1:${world.proxy.port}`, '127.0.0.1:3128')
    .replaceAll(world.dir, '~')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d_]+Z/g, 'TIME')
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, 'TIME')
    .replaceAll(/\b0x[0-9a-f]+\b/g, '0x…')
    .replaceAll(/\r/g, '')
    // differs by build and patch release
    .replaceAll(/^(?:Loaded CA certificate .*|\nNode\.js v.*)\n/gm, '')
  return withoutFrames(text).split('\n').map((line) => line.trimEnd()).join('\n').trim()
}

/** Stack frames name the client's own files and lines, which no policy changes; one `…` stands for them. */
function withoutFrames(text: string): string {
  return text
    // Node: where it was thrown, then `at …` lines, the last of which may open the error's fields
    .replaceAll(/^node:\S+:\d+\n.*\n\s+\^\n\n?/gm, '')
    .replaceAll(/(?:^ +at [^\n]*\n)+/gm, (frames) => (frames.endsWith('{\n') ? '    at … {\n' : '    at …\n'))
    // Python: the error that the last one came from says the same
    .replace(/^Traceback [^]*\n\n.*another exception occurred:\n\n/, '')
    .replaceAll(/(?:^ {2}File [^\n]*\n(?: {4}[^\n]*\n)*)+/gm, '  …\n')
}
