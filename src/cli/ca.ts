// `sallyport ca`: shows the certificate authority, hands out what clients are to trust, and replaces the root. It
// works on the files alone, whether a proxy runs or not, and never prints a key.
import { randomBytes } from 'node:crypto'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { escapeText } from '../audit/escape.ts'
import { mergeBundle } from '../ca/bundle.ts'
import { CertificateAuthority } from '../ca/certificate-authority.ts'
import { prepareNext, rotateRoot } from '../ca/rotate.ts'
import { type Clock, systemClock } from '../clock.ts'
import { loadSettings } from '../config/load.ts'
import { reservedDestinations } from '../config/own-places.ts'
import type { Settings } from '../config/settings.ts'
import { systemRoots } from '../egress/system-roots.ts'
import { ProxyError } from '../errors.ts'
import { staticNames } from '../policy/static-names.ts'
import { nearestWord } from '../policy/suggestion.ts'
import { asciiJson } from './ascii-json.ts'
import { caJson, caText, fingerprintText, signsForText } from './ca-text.ts'
import { compileFor, formatProblems } from './policy-problems.ts'
import { type Command, type CommandIo, type RunDeps, UsageError } from './run.ts'
import { processTerminal, type Terminal } from './terminal.ts'

const usage = `usage: sallyport ca show [OPTIONS]
       sallyport ca export [--out FILE|-] [--format pem|der|bundle] [OPTIONS]
       sallyport ca rotate [--yes] [--prepare] [--distrust-old] [--any-host] [OPTIONS]

Where a rule looks inside TLS, the proxy shows clients certificates of its own, and clients have to trust
the root that signs them. It is made when it is first needed; docs/ca.md says how each client takes it.

show says what there is. export writes what clients are to trust: the root, one that it replaced and that
has not ended, and one that is prepared. rotate makes a new root; a running proxy takes it up by itself.

  --format pem       certificates one after the other (the default)
           der       the root alone, binary; needs --out FILE
           bundle    PEM with the roots of this system, for clients whose setting replaces them
  --out FILE         write to a file instead of stdout (-)
  --yes              rotate without asking
  --prepare          make the next root and export it already, and leave the old one at work; the next
                     rotate takes it
  --distrust-old     the old key may be known: export the old certificate no more
  --any-host         a root that may sign for every host, whatever the policy allows; without it a policy
                     that can only ever open named hosts binds the root to these
  --policies DIR     rotate: folder of the policy that says so (default: as for \`start\`, policies/)
  --certs DIR        folder of the CA (default: as for \`start\`, certs/)
  --config FILE      settings file that may name it (default: sallyport.toml, if it exists)
  --json             show: one JSON object
  -h, --help

examples:
  sallyport ca show
  sallyport ca export --out sallyport-root.pem
  CURL_CA_BUNDLE=bundle.pem; sallyport ca export --format bundle --out "$CURL_CA_BUNDLE"
  sallyport ca rotate --prepare          # give clients the export, and when all have it:
  sallyport ca rotate

exit codes: 0 ok, 1 error, 2 wrong command line
`

/** A test's seams; the real ones otherwise. */
export interface CaSeams {
  readonly clock?: Clock
  readonly terminal?: Terminal
}

interface CaContext {
  readonly io: CommandIo
  readonly clock: Clock
  readonly terminal: Terminal
  /** undefined when they are wrong: said on stderr, and the command ends with 1 */
  readonly settings: (flags: PlaceFlags) => Settings | undefined
}

interface PlaceFlags {
  readonly certs?: string | undefined
  readonly config?: string | undefined
  readonly policies?: string | undefined
}

const placeOptions = { certs: { type: 'string' }, config: { type: 'string' } } as const
const actions: Readonly<Record<string, (argv: readonly string[], context: CaContext) => Promise<number>>> = { show, export: exportOf, rotate }
const formats: readonly string[] = ['pem', 'der', 'bundle']

export function caCommand(deps: Pick<RunDeps, 'env'>, seams: CaSeams = {}): Command {
  return {
    name: 'ca',
    summary: 'show, hand out and replace the root that clients are to trust',
    usage,
    run: async ([word, ...rest], io) => {
      const action = word !== undefined && Object.hasOwn(actions, word) ? actions[word] : undefined
      if (action === undefined) throw noAction(word)
      const settings = ({ certs, config, policies }: PlaceFlags): Settings | undefined => {
        const loaded = loadSettings({ flags: { certs, config, policies }, env: deps.env, cwd: io.cwd, secrets: 'unused' })
        if (loaded.settings === undefined) for (const { where, message } of loaded.problems) io.err(`${where}: error: ${message}\n`)
        return loaded.settings
      }
      try {
        return await action(rest, { io, clock: seams.clock ?? systemClock, terminal: seams.terminal ?? processTerminal(), settings })
      } catch (error) {
        if (!(error instanceof ProxyError)) throw error
        io.err(`sallyport ca ${word ?? ''}: ${escapeText(error.detail)}\n`)
        return 1
      }
    },
  }
}

function noAction(word: string | undefined): UsageError {
  if (word === undefined || word.startsWith('-')) return new UsageError('say show, export or rotate first')
  const near = nearestWord(word, Object.keys(actions))
  return new UsageError(`there is no \`ca ${word}\`${near === undefined ? ', only show, export or rotate' : `, did you mean \`${near}\`?`}`)
}

/** Without constraints: a command never makes a root by asking for one. */
function authorityOf({ certsDir }: Settings, clock: Clock): CertificateAuthority {
  return new CertificateAuthority({ certsDir, clock, constraints: () => undefined })
}

async function show(argv: readonly string[], { io, clock, settings }: CaContext): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options: { ...placeOptions, json: { type: 'boolean', default: false } } })
  const loaded = settings(values)
  if (loaded === undefined) return 1
  const status = await authorityOf(loaded, clock).status()
  io.out(values.json ? `${asciiJson(caJson(status))}\n` : caText(status, clock.now()))
  return status.state === 'unusable' ? 1 : 0
}

const exportOptions = { ...placeOptions, out: { type: 'string', default: '-' }, format: { type: 'string', default: 'pem' } } as const

async function exportOf(argv: readonly string[], { io, clock, settings }: CaContext): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options: exportOptions })
  const { format, out } = values
  if (!formats.includes(format)) throw new UsageError(`\`--format ${format}\` is not one of ${formats.join(', ')}`)
  if (format === 'der' && out === '-') throw new UsageError('der is binary: name a file with --out FILE')
  const loaded = settings(values)
  if (loaded === undefined) return 1
  const authority = authorityOf(loaded, clock)
  const status = await authority.status()
  if (status.state === 'absent') {
    io.err(`sallyport ca export: there is no root in ${escapeText(loaded.certsDir)} yet: the proxy makes it when a rule first needs it, and \`sallyport ca rotate\` makes it now\n`)
    return 1
  }
  const { anchor, all } = await authority.exported()
  const content = format === 'der' ? anchor : Buffer.from(format === 'pem' ? all.join('') : mergeBundle({ systemRoots: systemRoots(), ours: all }).text)
  if (out === '-') io.out(content.toString('utf8'))
  else await writeOut(resolve(io.cwd, out), content)
  if (status.state === 'usable') for (const each of status.kept) if (format !== 'der') io.err(`with ${each.role === 'next' ? 'the one that is prepared' : 'the one that it replaced'}, ${each.subject}\n`)
  if (out !== '-') io.err(`written to ${escapeText(out)}\n`)
  return 0
}

/** Whole or not at all, for everybody to read, and never over a key. */
async function writeOut(path: string, content: Buffer): Promise<void> {
  const there = await readFile(path, 'latin1').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw new ProxyError('ca_unavailable', `${path}: cannot be written (${messageOf(error)}); name another file`)
  })
  if (there.includes('PRIVATE KEY-----')) throw new ProxyError('ca_unavailable', `${path}: holds a private key and is not written over; name another file`)
  const temp = `${path}.${randomBytes(4).toString('hex')}`
  try {
    await writeFile(temp, content, { flag: 'wx', mode: 0o644 })
    await rename(temp, path)
  } catch (error) {
    await rm(temp, { force: true })
    throw new ProxyError('ca_unavailable', `${path}: cannot be written (${messageOf(error)}); name another file`, { cause: error })
  }
}

const rotateOptions = {
  ...placeOptions,
  yes: { type: 'boolean', default: false },
  prepare: { type: 'boolean', default: false },
  'distrust-old': { type: 'boolean', default: false },
  'any-host': { type: 'boolean', default: false },
  policies: { type: 'string' },
} as const

async function rotate(argv: readonly string[], context: CaContext): Promise<number> {
  const { io, clock, terminal, settings } = context
  const { values } = parseArgs({ args: [...argv], options: rotateOptions })
  const loaded = settings(values)
  if (loaded === undefined) return 1
  const status = await authorityOf(loaded, clock).status()
  // what is prepared was bound when it was made
  const prepared = status.state === 'usable' ? status.kept.find(({ role }) => role === 'next') : undefined
  const bound = values['any-host'] ? { constraints: undefined } : (prepared ?? await constraintsOf(loaded, io))
  if (bound === undefined) return 1
  const options = { certsDir: loaded.certsDir, clock, constraints: bound.constraints, distrust: values['distrust-old'] }
  if (values.prepare) {
    const { certificate } = await prepareNext(options)
    io.out(`${certificate.subject} is prepared in ${join(loaded.certsDir, 'root-next.pem')}\n${status.state === 'absent'
      ? 'there is no root yet that it could follow: `sallyport ca rotate` puts it to work, and exports it from then on'
      : 'it is in every export from now on; when all clients have it, `sallyport ca rotate` puts it to work'}\n`)
    return 0
  }
  // the first one takes nobody's place
  if (!values.yes && status.state !== 'absent' && !(await mayRotate(context, values['distrust-old'], terminal))) return 1
  const { signer, previous } = await rotateRoot(options)
  io.out([
    `${signer.certificate.subject} signs from now on, for ${signsForText(signer.limits.flatMap(({ permittedNames }) => permittedNames ?? []))}`,
    `sha256 ${fingerprintText(signer.certificate.fingerprint)}`,
    ...(previous === undefined ? [] : [`what it replaced is kept as ${previous.cert} with its key${values['distrust-old'] ? ', and exported no more' : ', and exported until it ends'}`]),
    'give it to the clients (`sallyport ca export`) and start again those that only read their certificates at the start',
  ].map((line) => `${escapeText(line)}\n`).join(''))
  return 0
}

/** Asks on a terminal. Throws UsageError where nobody can answer. */
async function mayRotate({ io }: CaContext, distrust: boolean, terminal: Terminal): Promise<boolean> {
  if (!terminal.isInteractive) throw new UsageError('nobody is here to be asked: say --yes')
  io.err(`A new root takes the place of the old one, and a running proxy signs with it within a second. Clients that
trust the old one alone fail until they have the new one (\`--prepare\` avoids that). The old one ${distrust ? 'is exported\nno more, so clients that are given the new file trust it no longer' : 'stays in\nevery export until it ends'}.
`)
  const answer = await terminal.ask('Go on? [y/N] ', io.signal)
  if (/^y(es)?$/i.test(answer.trim())) return true
  io.err('nothing was changed\n')
  return false
}

/** What the policy binds a root to; undefined when there is no valid policy, which has then been said. */
async function constraintsOf(settings: Settings, io: CommandIo): Promise<{ readonly constraints: readonly string[] | undefined } | undefined> {
  const { policiesDir, requirementsFile } = settings
  const { policy, problems, sources } = await compileFor({ files: [], policiesDir, requirementsFile, cwd: io.cwd, reserved: reservedDestinations(settings) })
  if (policy !== undefined) return { constraints: staticNames(policy) }
  if (sources.length === 0) {
    io.err(`sallyport ca rotate: there is no policy in ${escapeText(policiesDir)}, and it says which hosts the root may be bound to: run this where the proxy is started, name its files (--config FILE, or --policies DIR and --certs DIR), or say --any-host for a root that is bound to none\n`)
    return undefined
  }
  io.err(formatProblems(problems.filter(({ severity }) => severity === 'error'), sources, io.cwd))
  io.err('sallyport ca rotate: the policy is not valid, so it is not known which hosts the root may be bound to: mend it (`sallyport check`), or say --any-host for a root that is bound to none\n')
  return undefined
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
