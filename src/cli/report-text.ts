// A report on the terminal: tables with bars. Allowed is drawn full, asked dotted, denied as crosses, so that it reads without
// colours too. Pure; everything foreign is escaped.
import { styleText } from 'node:util'
import { escapeText } from '../audit/escape.ts'
import { totalOf, type Counts, type Ranked } from '../audit/report-counts.ts'
import type { HostQuestions } from '../audit/report.ts'
import { minAnswers } from '../audit/suggestions.ts'
import type { PolicyEntry } from '../policy/entries.ts'
import { pad, table } from './cells.ts'
import { plural } from './plural.ts'
import { shownPath } from './policy-problems.ts'
import { hasTeams, headline, questionLines, shownGroups, shortTime, timeSlices, waitBars } from './report-parts.ts'
import type { ReportPage } from './report.ts'
import { sizeText } from './size-words.ts'

export interface ReportTextOptions {
  /** may be coloured */
  readonly isTty: boolean
  readonly cwd: string
}

const barCells = 40

export function reportText(page: ReportPage, options: ReportTextOptions): string {
  const { report, asked, limit } = page
  const { isTty } = options
  const sections = [
    `${escapeText(headline(report, asked), 400)}\n`,
    overview(report.totals, isTty),
    section('when', sliceBars(timeSlices(report), isTty), isTty),
    section('by host', groupTable('host', shownGroups(report.byHost, limit), isTty), isTty),
    section('by agent', groupTable('agent', shownGroups(report.byAgent, limit), isTty), isTty),
    hasTeams(report) ? section('by team', groupTable('team', shownGroups(report.byTeam, limit), isTty, false), isTty) : '',
    section('why it was denied', countBars(report.byCode.slice(0, limit)), isTty),
    section('questions', questionText(page), isTty),
    section('monitor mode let pass what enforce mode would not', countBars(report.monitored.slice(0, limit)), isTty),
    section('web cache', cacheText(page), isTty),
    section('gaps in the journal', report.gaps.map(({ time, cause, count }) => `  ${shortTime(time)}  ${escapeText(cause, 60)}: ${plural(count, 'record')}\n`).join(''), isTty),
    suggestionText(page, options),
  ]
  return sections.join('')
}

function section(title: string, text: string, isTty: boolean): string {
  return text === '' ? '' : `\n${isTty ? styleText('bold', title, { validateStream: false }) : title}\n${text}`
}

function overview(totals: Counts, isTty: boolean): string {
  const { allowed, asked, denied } = totals
  const rows = [['allowed', allowed, { ...none, allowed }], ['asked', asked, { ...none, asked }], ['denied', denied, { ...none, denied }]] as const
  const most = Math.max(allowed, asked, denied)
  return rows.map(([name, count, counts]) => `  ${name.padEnd(8)}${count.toLocaleString('en').padStart(11)}  ${stacked(counts, most, isTty)}\n`).join('')
}

const none: Counts = { allowed: 0, asked: 0, denied: 0, bytesFromClient: 0, bytesFromOrigin: 0 }
const marks = [{ of: 'allowed', mark: '█', colour: 'green' }, { of: 'asked', mark: '▒', colour: 'yellow' }, { of: 'denied', mark: 'x', colour: 'red' }] as const

/** One bar of three parts; what there is of anything is never drawn as nothing. */
function stacked(counts: Counts, most: number, isTty: boolean): string {
  if (most === 0) return ''
  return marks.map(({ of, mark, colour }) => {
    const cells = counts[of] === 0 ? 0 : Math.max(1, Math.round((counts[of] / most) * barCells))
    const drawn = mark.repeat(cells)
    return isTty && cells > 0 ? styleText(colour, drawn, { validateStream: false }) : drawn
  }).join('')
}

function sliceBars(slices: readonly { readonly label: string; readonly counts: Counts }[], isTty: boolean): string {
  if (slices.length < 2) return ''
  const most = Math.max(...slices.map(({ counts }) => totalOf(counts)))
  return slices.map(({ label, counts }) => `  ${label}  ${totalOf(counts).toLocaleString('en').padStart(9)}  ${stacked(counts, most, isTty)}\n`).join('')
}

/** `hasBytes`: the ends of exchanges, which have them, say what this groups by. */
function groupTable(what: string, groups: readonly Ranked[], isTty: boolean, hasBytes = true): string {
  const most = Math.max(0, ...groups.map(totalOf))
  const names = groups.map(({ name }) => escapeText(name, 60))
  const width = Math.max(what.length, ...names.map((name) => name.length))
  const heading = `  ${pad(what, width)}  ${'allowed'.padStart(9)}  ${'asked'.padStart(7)}  ${'denied'.padStart(7)}${hasBytes ? `  ${'sent'.padStart(8)}  ${'received'.padStart(8)}` : ''}\n`
  const rows = groups.map((group, at) => {
    const { allowed, asked, denied, bytesFromClient, bytesFromOrigin } = group
    const figures = [[allowed, 9], [asked, 7], [denied, 7]].map(([count = 0, cells = 0]) => count.toLocaleString('en').padStart(cells)).join('  ')
    return `  ${pad(names[at] ?? '', width)}  ${figures}${hasBytes ? `  ${sizeText(bytesFromClient).padStart(8)}  ${sizeText(bytesFromOrigin).padStart(8)}` : ''}  ${stacked(group, most, isTty)}\n`
  })
  return heading + rows.join('')
}

function countBars(counts: readonly { readonly name: string; readonly count: number }[]): string {
  const most = Math.max(0, ...counts.map(({ count }) => count))
  const names = counts.map(({ name }) => escapeText(name, 80))
  const width = Math.max(0, ...names.map((name) => name.length))
  return counts.map(({ count }, at) => `  ${pad(names[at] ?? '', width)}  ${count.toLocaleString('en').padStart(7)}  ${'█'.repeat(Math.max(1, Math.round((count / most) * barCells)))}\n`).join('')
}

function questionText({ report, limit }: ReportPage): string {
  const lines = questionLines(report).map((line) => `  ${line}\n`)
  if (lines.length === 0) return ''
  const { byHost, byReviewer } = report.questions
  const hosts = byHost.slice(0, limit).map((each) => [hostText(each), each.asked, each.allowed, each.denied, each.expired, each.agents.join(', ')].map(String))
  const waits = waitBars(report).map(({ label, count }) => ({ name: label, count })).filter(({ count }) => count > 0)
  return [
    ...lines,
    countBars(waits),
    hosts.length === 0 ? '' : `\n${indented(table(['about', 'asked', 'allowed', 'denied', 'expired', 'for'], hosts))}`,
    byReviewer.length === 0 ? '' : `\n  answered by\n${countBars(byReviewer.slice(0, limit))}`,
  ].join('')
}

function cacheText({ report: { cache } }: ReportPage): string {
  const { hits, misses, filled } = cache
  return hits + misses + filled === 0 ? '' : `  ${plural(hits, 'hit')}, ${plural(misses, 'miss').replace(/misss$/, 'misses')}, ${plural(filled, 'page')} filled\n`
}

function suggestionText({ suggestions, patch, limit }: ReportPage, { isTty, cwd }: ReportTextOptions): string {
  const { comingBack, neverHit } = suggestions
  const places = (entries: readonly PolicyEntry[]): string => entries.slice(0, limit).map(({ id, pattern, file, line }) => `  ${shownPath(file, cwd)}:${line}  ${escapeText(id, 80)}${pattern === '' ? '' : ` \`${escapeText(pattern, 120)}\``}\n`).join('')
  return [
    patch === undefined ? '' : section(`suggestion: reviewers answered these the same way each time (${minAnswers} or more)`, `${indented(patch)}  (\`sallyport report --patch\` prints it alone; \`sallyport replay\` says what it would have changed)\n`, isTty),
    section('suggestion: these questions keep coming back; an answer that lasts, or a rule, ends them', comingBack.slice(0, limit).map((each) => `  ${hostText(each)}  ${plural(each.asked, 'time')}, answered ${each.terms.join(', ') || 'never'}\n`).join(''), isTty),
    neverHit === undefined || neverHit.length === 0 ? '' : section(`suggestion: ${plural(neverHit.length, 'rule')} or entries decided nothing in this time`, places(neverHit) + rest(neverHit.length, limit), isTty),
  ].join('')
}

function rest(count: number, limit: number): string {
  return count > limit ? `  and ${plural(count - limit, 'other')} (-n ${count} shows all)\n` : ''
}

function hostText({ host, port }: HostQuestions): string {
  return port === 443 ? host : `${host}:${port}`
}

function indented(text: string): string {
  return text.replace(/^(?=.)/gm, '  ')
}
