// What a check of `doctor` found, and how findings are shown. Pure.
import { escapeText } from '../audit/escape.ts'

export interface Finding {
  /** stable name: `direct_tcp`, `journal` */
  readonly name: string
  readonly group: 'setup' | 'proxy' | 'escape'
  /** `skip`: does not apply here */
  readonly status: 'ok' | 'warn' | 'fail' | 'skip'
  /** one sentence */
  readonly detail: string
  /** what to do about it; absent for ok and skip */
  readonly remedy?: string
}

export interface Diagnosis {
  /** `agent`: the proxy runs elsewhere; `proxy`: it runs, or would run, on this machine */
  readonly place: 'agent' | 'proxy'
  /** URL of the proxy that was asked, without credentials */
  readonly proxy: string | undefined
  /** false: something got out past the proxy; undefined: that was not tried */
  readonly enforced: boolean | undefined
  readonly findings: readonly Finding[]
}

const titles = {
  setup: 'set-up',
  proxy: 'through the proxy',
  escape: 'past the proxy',
} as const

const colours = { ok: 32, warn: 33, fail: 31, skip: 90 } as const

/** The table for people, ending in a newline. */
export function diagnosisTable(diagnosis: Diagnosis, colour: boolean): string {
  const width = Math.max(...diagnosis.findings.map(({ name }) => name.length))
  const paint = (status: Finding['status']): string => {
    const mark = status.padEnd(4)
    return colour ? `\u{1b}[${colours[status]}m${mark}\u{1b}[0m` : mark
  }
  const sections = (['setup', 'proxy', 'escape'] as const).flatMap((group) => {
    const lines = diagnosis.findings
      .filter((finding) => finding.group === group)
      .flatMap(({ name, status, detail, remedy }) => [
        `  ${paint(status)}  ${name.padEnd(width)}  ${escapeText(detail)}`,
        ...(remedy === undefined ? [] : [`  ${' '.repeat(4)}  ${' '.repeat(width)}  -> ${escapeText(remedy)}`]),
      ])
    return lines.length === 0 ? [] : [`${titles[group]}\n${lines.join('\n')}\n`]
  })
  return `${sections.join('\n')}\n${verdict(diagnosis)}\n`
}

function verdict({ enforced, place }: Diagnosis): string {
  if (enforced === undefined) return 'whether anything gets past the proxy was not tried'
  if (enforced) return 'nothing got past the proxy from here'
  const rest =
    place === 'proxy'
      ? 'this is where the proxy itself gets out: run `sallyport doctor` again from where the agent runs'
      : 'close the ways out above'
  return `nothing enforces the proxy here: a program that does not ask for it gets out without it; ${rest}`
}

/** One object; keys are a contract and are only ever added to. */
export function diagnosisJson(diagnosis: Diagnosis): string {
  const { place, proxy, enforced, findings } = diagnosis
  return `${JSON.stringify(
    {
      ok: findings.every(({ status }) => status !== 'fail'),
      enforced: enforced ?? null,
      place,
      proxy: proxy ?? null,
      checks: findings.map(({ name, group, status, detail, remedy }) => ({
        name,
        group,
        status,
        detail,
        remedy: remedy ?? null,
      })),
    },
    undefined,
    2,
  )}\n`
}
