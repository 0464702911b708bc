// The command line of `npm run bench`.
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { workloads, type Workload, type WorkloadGroup } from './workloads.ts'

export interface Options {
  readonly quick: boolean
  readonly rounds: number
  /** of one measurement */
  readonly seconds: number
  /** of one bulk measurement; its bytes are what a peer moves in it, 2 GiB at most */
  readonly bulkSeconds: number
  readonly warmupSeconds: number
  readonly idleTunnels: number
  /** hosts never seen, in one round */
  readonly freshHosts: number
  /** whose memory is measured, and how long making them may take */
  readonly interceptedHosts: number
  readonly hostsSeconds: number
  /** workloads, by their names or by those of their groups */
  readonly only: ReadonlySet<string>
  /** undefined: all that are here */
  readonly peers: ReadonlySet<string> | undefined
  readonly json: boolean
  readonly profileDir: string | undefined
  /** options of node for a second sallyport beside the first */
  readonly nodeOptions: readonly string[]
  /** another checkout, whose sallyport runs beside this one's */
  readonly besideDir: string | undefined
  readonly keep: boolean
}

export const usage = `usage: npm run bench -- [options]

  --quick            2 short rounds instead of 5: a first look, not a figure to quote
  --only w1,w4a      workloads: w1 w2 w3 w4 w5 w6 w7 w8, or one of a group's, as a table of results
                     names it: w2-download-1, w4a, w4b, w4c, w4-hosts (memory of W4), w8-1k
  --peers a,b        only these peers (sallyport, squid, trafficserver, tinyproxy, haproxy,
                     'haproxy spliced', proxy-chain, http-mitm-proxy, 'squid ssl-bump',
                     mockttp, mitmproxy, direct)
  --rounds N         interleaved rounds
  --seconds N        length of one measurement
  --json             print the results instead of the tables
  --profile DIR      write a CPU profile of sallyport's process there (its figures suffer)
  --node-options "…" a second sallyport in the run, whose node gets these options
  --beside DIR       a second sallyport in the run, of the checkout in DIR: what a change costs or saves
  --keep             keep the run's folder: configurations and logs of every peer
`

const groups: readonly WorkloadGroup[] = ['w1', 'w2', 'w3', 'w4', 'w5', 'w6', 'w7', 'w8']
/** Memory of W4 is no workload: nothing is counted in it but hosts. */
export const hostsName = 'w4-hosts'
const names: ReadonlySet<string> = new Set([...groups, ...workloads.map(({ name }) => name), hostsName])

/** Undefined when only the usage is asked for; throws on what it does not know. */
export function parseOptions(argv: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      peers: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      json: { type: 'boolean', default: false },
      profile: { type: 'string' },
      'node-options': { type: 'string' },
      beside: { type: 'string' },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  const quick = values.quick
  const only = values.only === undefined ? groups : values.only.split(',').map(knownName)
  const seconds = positive('seconds', values.seconds) ?? (quick ? 1 : 2)
  return {
    quick,
    rounds: positive('rounds', values.rounds) ?? (quick ? 2 : 5),
    seconds,
    bulkSeconds: seconds * (quick ? 0.5 : 0.75),
    warmupSeconds: quick ? 0.3 : 1,
    idleTunnels: quick ? 2000 : 4000,
    freshHosts: quick ? 50 : 150,
    interceptedHosts: quick ? 2000 : 10_000,
    hostsSeconds: quick ? 20 : 120,
    only: new Set(only),
    peers: values.peers === undefined ? undefined : new Set(values.peers.split(',').map((name) => name.trim())),
    json: values.json,
    profileDir: values.profile === undefined ? undefined : resolve(values.profile),
    nodeOptions: values['node-options']?.split(' ').filter((option) => option !== '') ?? [],
    besideDir: values.beside === undefined ? undefined : resolve(values.beside),
    keep: values.keep,
  }
}

function knownName(name: string): string {
  const known = name.trim().toLowerCase()
  if (!names.has(known)) throw new Error(`no workload \`${name}\`; there are ${[...names].join(' ')}`)
  return known
}

/** The workloads that were asked for, as a name of a file has them; undefined: all. */
export function partOf({ only }: Options): string | undefined {
  return groups.every((group) => only.has(group)) ? undefined : [...only].toSorted().join('-')
}

/** Whether a workload was asked for, by its own name or with its group. */
export function isWanted({ only }: Options, { group, name }: Workload): boolean {
  return only.has(group) || only.has(name)
}

function positive(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (!(value > 0 && value <= 600)) throw new Error(`--${name} takes a number above 0, not \`${text}\``)
  return name === 'rounds' ? Math.ceil(value) : value
}
