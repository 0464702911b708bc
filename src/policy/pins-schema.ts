// `[network.pins]`: the tenants of a vendor that may be used, as the field that the vendor documents for it, and Codex's
// `header_injections`, which set fields in the same way. Several files together leave what all of them leave.
import { wrongChangeName, wrongFieldValue } from './field-names.ts'
import { parseHostPattern } from './pattern.ts'
import type { HostPattern } from './pattern.ts'
import { parsePathPattern } from './path-pattern.ts'
import type { PathPattern } from './path-pattern.ts'
import { PatternIndexBuilder } from './pattern-index.ts'
import type { PatternIndex, Pin } from './policy.ts'
import type { Path } from './positions.ts'
import type { SourceReader } from './problem.ts'
import type { TableReader } from './table-reader.ts'

/** A pin of one vendor: which field says it, and to which hosts. */
export interface VendorPin {
  readonly key: string
  readonly field: string
  readonly hosts: readonly string[]
  /** one value, not a list of them */
  readonly single?: true
}

const microsoft: readonly string[] = ['login.microsoftonline.com', 'login.microsoft.com', 'login.windows.net']

/** By the vendors' own pages, which docs/policy.md names. */
export const vendorPins: readonly VendorPin[] = [
  { key: 'chatgpt_workspace', field: 'ChatGPT-Allowed-Workspace-Id', hosts: ['**.chatgpt.com'] },
  { key: 'openai_organizations', field: 'OpenAI-Allowed-Organization-Ids', hosts: ['api.openai.com'] },
  { key: 'anthropic_organizations', field: 'anthropic-allowed-org-ids', hosts: ['claude.ai', 'api.anthropic.com'] },
  { key: 'google_domains', field: 'X-GoogApps-Allowed-Domains', hosts: ['**.google.com'] },
  { key: 'microsoft_tenants', field: 'Restrict-Access-To-Tenants', hosts: microsoft },
  { key: 'microsoft_context', field: 'Restrict-Access-Context', hosts: microsoft, single: true },
]

export interface DraftVendorPin {
  readonly pin: VendorPin
  readonly at: Path
  readonly line: number
  readonly values: readonly string[]
}

export interface DraftInjection extends Omit<Pin, 'file'> {
  readonly host: HostPattern
}

export interface DraftPins {
  readonly vendors: readonly DraftVendorPin[]
  readonly injections: readonly DraftInjection[]
}

/** A host that is looked into for a pin's sake. */
export interface PinnedHost extends HostPattern {
  /** index into the pins */
  readonly pin: number
}

export interface Pins {
  readonly pins: readonly Pin[]
  readonly pinIndex: PatternIndex
  /** for the checks that come after */
  readonly hosts: readonly PinnedHost[]
}

/** Reads the pins of one file. */
export function readPins(network: TableReader): DraftPins {
  const table = network.table('pins')
  table?.rejectUnknown(vendorPins.map(({ key }) => key), `[${network.path.join('.')}.pins]`)
  const vendors = table === undefined ? [] : vendorPins.flatMap((pin) => readVendorPin(table, pin) ?? [])
  return { vendors, injections: (network.tables('header_injections') ?? []).flatMap((each) => readInjection(each)) }
}

function readVendorPin(table: TableReader, pin: VendorPin): DraftVendorPin | undefined {
  const { key, single } = pin
  if (!table.has(key)) return undefined
  const one = single === true ? table.string(key) : undefined
  const values = single === true ? (one === undefined ? undefined : [one]) : table.strings(key)
  if (values === undefined) return undefined
  if (values.length === 0) table.file.error(table.at(key), `\`${key}\` is empty: leave it out, or deny the hosts to close them to every tenant`)
  values.forEach((value, i) => {
    if (!/^[\w.:@-]{1,253}$/.test(value)) table.file.error(single === true ? table.at(key) : table.at(key, i), `\`${key}\` takes names or ids, each of letters, digits and \`._:@-\``)
  })
  return { pin, at: table.at(key), line: table.file.line(table.at(key)), values }
}

/** `[[header_injections]]` of Codex: host, methods, path_prefixes, and headers with their values. */
function readInjection(table: TableReader): readonly DraftInjection[] {
  const { file } = table
  table.rejectUnknown(['host', 'methods', 'path_prefixes', 'headers'], 'a header injection')
  for (const key of ['host', 'methods', 'path_prefixes', 'headers'] as const) {
    if (!table.has(key) || table.isEmptyArray(key)) file.error(table.path, `a header injection without \`${key}\``, 'key')
  }
  const host = readInjectionHost(table)
  const methods = table.strings('methods')?.map((method) => method.toUpperCase()) ?? []
  const paths = (table.strings('path_prefixes') ?? []).flatMap((prefix, i) => readPrefix(table, prefix, i))
  const inner = table.table('headers')
  const set = (inner?.keys() ?? []).flatMap((name) => {
    const text = inner?.string(name)
    const wrong = wrongChangeName(name) ?? (text === undefined ? undefined : wrongFieldValue(text))
    if (wrong !== undefined) file.error(table.at('headers', name), `the field \`${name}\` cannot be set to this: ${wrong}`)
    return text === undefined ? [] : [{ name, value: { kind: 'text', text } as const }]
  })
  if (host === undefined) return []
  return [{ host, methods, paths, line: file.line(table.path), change: { rule: 'header_injections', strip: [], set } }]
}

function readInjectionHost(table: TableReader): HostPattern | undefined {
  const text = table.string('host')
  if (text === undefined) return undefined
  const pattern = parseHostPattern(text)
  if ('wrong' in pattern) table.file.error(table.at('host'), `not a host: ${pattern.wrong}`)
  else if (pattern.scope.kind === 'exact' || pattern.scope.kind === 'address') return pattern
  else table.file.error(table.at('host'), 'a header injection is for one exact host')
  return undefined
}

/** A prefix as text: `/v1` is also that of `/v10`. */
function readPrefix(table: TableReader, written: string, i: number): readonly PathPattern[] {
  const at = table.at('path_prefixes', i)
  const prefix = written.replace(/^literal:/, '')
  if (written.startsWith('pattern:') || prefix.includes('*')) {
    table.file.error(at, 'wildcards in `path_prefixes` are not read here: write a `[[network.rules]]` table with `paths` and `set_headers`')
    return []
  }
  const texts = prefix === '/' ? ['/**'] : prefix.endsWith('/') ? [prefix, `${prefix}*/**`] : [`${prefix}*/**`]
  return texts.flatMap((text) => {
    const pattern = parsePathPattern(text)
    if (!('wrong' in pattern)) return [pattern]
    table.file.error(at, `not a path prefix: ${pattern.wrong}`)
    return []
  })
}

interface Pinning {
  readonly file: SourceReader
  readonly pins: DraftPins
}

/** The pins of all files. A tenant that one of two files leaves out is left out. */
export function mergePins(drafts: readonly Pinning[]): Pins {
  const pins: Pin[] = []
  const hosts: PinnedHost[] = []
  const index = new PatternIndexBuilder()
  const add = (pin: Pin, patterns: readonly HostPattern[]): void => {
    const at = pins.push(pin) - 1
    for (const pattern of patterns) {
      const { scope, text, ports } = pattern
      hosts.push({ ...pattern, pin: at })
      index.add(scope, { rule: at, text, line: pin.line, ports: ports === undefined ? 'every' : [ports] })
    }
  }
  const stated = drafts.flatMap(({ file, pins: { vendors } }) => vendors.map((vendor) => ({ file, vendor })))
  for (const pin of vendorPins) {
    const ofPin = stated.filter(({ vendor }) => vendor.pin === pin)
    const [first] = ofPin
    if (first === undefined) continue
    const values = commonValues(ofPin)
    const change = { rule: `pins.${pin.key}`, strip: [], set: [{ name: pin.field, value: { kind: 'text', text: values.join(',') } as const }] }
    add({ change, file: first.file.source.path, line: first.vendor.line, methods: undefined, paths: undefined }, patternsOf(pin))
  }
  checkMicrosoft(stated)
  for (const { file, pins: { injections } } of drafts) {
    for (const { host, ...injection } of injections) add({ ...injection, file: file.source.path }, [host])
  }
  return { pins, pinIndex: index.finish(), hosts }
}

interface Stated {
  readonly file: SourceReader
  readonly vendor: DraftVendorPin
}

function commonValues([first, ...rest]: readonly Stated[]): readonly string[] {
  let values = [...new Set(first?.vendor.values)]
  for (const { file, vendor } of rest) {
    const left = values.filter((value) => vendor.values.includes(value))
    if (left.length === 0) file.error(vendor.at, `\`${vendor.pin.key}\` has nothing in common with ${first?.file.source.path}:${first?.vendor.line}, so it would close its hosts: deny them, or agree`)
    else values = left
  }
  return values
}

/** Entra judges the list by whose policy it is: without the context the list says nothing. */
function checkMicrosoft(stated: readonly Stated[]): void {
  for (const [key, other] of [['microsoft_tenants', 'microsoft_context'], ['microsoft_context', 'microsoft_tenants']] as const) {
    const found = stated.find(({ vendor }) => vendor.pin.key === key)
    if (found !== undefined && !stated.some(({ vendor }) => vendor.pin.key === other)) found.file.error(found.vendor.at, `\`${key}\` without \`${other}\`: the vendor heeds neither alone`)
  }
}

function patternsOf({ hosts }: VendorPin): readonly HostPattern[] {
  return hosts.flatMap((text) => {
    const pattern = parseHostPattern(text)
    return 'wrong' in pattern ? [] : [pattern]
  })
}
