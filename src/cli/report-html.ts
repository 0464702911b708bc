// A report as one HTML file with plots: it has no script, loads nothing, and reads on light and dark screens and on paper.
// Pure. Everything that is shown goes through `escaped`; what agents chose the name of cannot become markup.
import { escapeText } from '../audit/escape.ts'
import { totalOf, type Counts, type Ranked } from '../audit/report-counts.ts'
import { plural } from './plural.ts'
import { hasTeams, headline, questionLines, shownGroups, shortTime, timeSlices, waitBars, type Slice } from './report-parts.ts'
import type { ReportPage } from './report.ts'
import { sizeText } from './size-words.ts'

const style = `:root{--ground:#f6f7f8;--surface:#fff;--ink:#1b2127;--quiet:#55606b;--line:#d9dee3;--allow:#17663a;--ask:#b07a00;--deny:#a8231b}
@media(prefers-color-scheme:dark){:root{--ground:#12161a;--surface:#1b2127;--ink:#e8ecf0;--quiet:#a3adb7;--line:#333c45;--allow:#4fb37c;--ask:#e0b13c;--deny:#f0776c}}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:72rem;margin:0 auto;padding:1.5rem 1rem 4rem}h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:0 0 .75rem}
section{background:var(--surface);border:1px solid var(--line);border-radius:10px;padding:1rem 1.25rem;margin-top:1rem}.quiet{color:var(--quiet)}
.figures{display:flex;gap:2.5rem;flex-wrap:wrap}.figures strong{display:block;font-size:1.8rem;line-height:1.2}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}.scroll{overflow-x:auto}.scroll+.scroll{margin-top:1rem}th,td{padding:.3rem .6rem;text-align:right;border-top:1px solid var(--line);white-space:nowrap}
th{font-weight:600;border-top:0;color:var(--quiet)}th:first-child,td:first-child{text-align:left}td.bar{width:30%;min-width:10rem;padding-right:0}
svg{display:block;width:100%;height:auto}svg text{fill:var(--quiet);font:12px system-ui,sans-serif}.allow{fill:var(--allow);color:var(--allow)}.ask{fill:var(--ask);color:var(--ask)}.deny{fill:var(--deny);color:var(--deny)}.one{fill:var(--quiet)}
pre{overflow-x:auto;background:var(--ground);padding:.75rem;border-radius:6px;margin:.5rem 0 0}.key span{margin-right:1.25rem}.key span::before{content:"";display:inline-block;width:.8em;height:.8em;margin-right:.4em;background:currentcolor;border-radius:2px}`

export function reportHtml(page: ReportPage): string {
  const { report, asked, limit, suggestions, patch } = page
  const { totals, byHost, byAgent, byTeam, byCode, monitored, gaps, cache } = report
  const sections = [
    section('', `<div class="figures">${figure('allow', 'allowed', totals.allowed)}${figure('ask', 'asked about', totals.asked)}${figure('deny', 'denied', totals.denied)}${figure('', 'sent', sizeText(totals.bytesFromClient))}${figure('', 'received', sizeText(totals.bytesFromOrigin))}</div>`),
    section('When', timeChart(timeSlices(report))),
    section('By host', groupTable('host', shownGroups(byHost, limit))),
    section('By agent', groupTable('agent', shownGroups(byAgent, limit))),
    hasTeams(report) ? section('By team', groupTable('team', shownGroups(byTeam, limit), false)) : '',
    section('Why it was denied', countTable('code', byCode.slice(0, limit))),
    section('Questions', questions(page)),
    section('What monitor mode let pass, and enforce mode would not', countTable('host and code', monitored.slice(0, limit))),
    section('Web cache', cache.hits + cache.misses + cache.filled === 0 ? '' : `<p>${cache.hits} hits, ${cache.misses} misses, ${cache.filled} filled</p>`),
    section('Gaps in the journal', gaps.length === 0 ? '' : `<ul>${gaps.map(({ time, cause, count }) => `<li>${shortTime(time)}: ${escaped(cause)}, ${plural(count, 'record')}</li>`).join('')}</ul>`),
    section('Suggestion: reviewers answered these the same way each time', patch === undefined ? '' : `<pre>${escaped(patch)}</pre>`),
    section('Suggestion: these questions keep coming back', suggestions.comingBack.length === 0 ? '' : `<ul>${suggestions.comingBack.slice(0, limit).map(({ host, port, asked: times }) => `<li>${escaped(`${host}:${port}`)}: ${plural(times, 'time')}</li>`).join('')}</ul>`),
    section('Suggestion: these rules and entries decided nothing', neverHit(page)),
  ]
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>sallyport report</title><style>${style}</style></head><body><main>
<h1>What agents asked for</h1><p class="quiet">${escaped(headline(report, asked))}</p>
${sections.join('')}</main></body></html>
`
}

function section(title: string, content: string): string {
  if (content === '') return ''
  return `<section>${title === '' ? '' : `<h2>${title}</h2>`}${content}</section>\n`
}

function figure(kind: 'allow' | 'ask' | 'deny' | '', label: string, value: number | string): string {
  return `<div><strong class="${kind}">${typeof value === 'number' ? value.toLocaleString('en') : value}</strong>${label}</div>`
}

const chart = { width: 960, height: 220, left: 56, bottom: 36, top: 8 } as const
const kinds = [{ of: 'allowed', kind: 'allow' }, { of: 'asked', kind: 'ask' }, { of: 'denied', kind: 'deny' }] as const

/** Columns of three parts over time, on one scale that starts at 0. */
function timeChart(slices: readonly Slice[]): string {
  const most = Math.max(0, ...slices.map(({ counts }) => totalOf(counts)))
  if (slices.length < 2 || most === 0) return ''
  const { width, height, left, bottom, top } = chart
  const step = (width - left) / slices.length
  const scale = (height - top - bottom) / most
  const every = Math.ceil(slices.length / 12)
  const columns = slices.map(({ label, counts }, at) => {
    const x = left + at * step
    let y = height - bottom
    const parts = kinds.map(({ of, kind }) => {
      const tall = counts[of] * scale
      y -= tall
      return tall === 0 ? '' : `<rect class="${kind}" x="${(x + step * 0.1).toFixed(1)}" y="${y.toFixed(1)}" width="${(step * 0.8).toFixed(1)}" height="${tall.toFixed(1)}"/>`
    })
    const text = at % every === 0 ? `<text x="${(x + step / 2).toFixed(1)}" y="${height - bottom + 18}" text-anchor="middle">${label}</text>` : ''
    return `<g><title>${label}: ${counts.allowed} allowed, ${counts.asked} asked, ${counts.denied} denied</title>${parts.join('')}</g>${text}`
  })
  const lines = [0, 0.5, 1].map((share) => {
    const y = (height - bottom - share * most * scale).toFixed(1)
    return `<line x1="${left}" x2="${width}" y1="${y}" y2="${y}" stroke="var(--line)"/><text x="${left - 8}" y="${Number(y) + 4}" text-anchor="end">${Math.round(share * most).toLocaleString('en')}</text>`
  })
  return `<p class="key"><span class="allow">allowed</span><span class="ask">asked</span><span class="deny">denied</span></p><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="decisions over time">${lines.join('')}${columns.join('')}</svg>`
}

/** `hasBytes`: the ends of exchanges, which have them, say what this groups by. */
function groupTable(what: string, groups: readonly Ranked[], hasBytes = true): string {
  if (groups.length === 0) return ''
  const most = Math.max(...groups.map(totalOf))
  const rows = groups.map((group) => {
    const { name, allowed, asked, denied, bytesFromClient, bytesFromOrigin } = group
    const cells = [allowed.toLocaleString('en'), asked.toLocaleString('en'), denied.toLocaleString('en'), ...(hasBytes ? [sizeText(bytesFromClient), sizeText(bytesFromOrigin)] : [])]
    return `<tr><td>${escaped(name)}</td>${cells.map((cell) => `<td>${cell}</td>`).join('')}<td class="bar">${bar(group, most)}</td></tr>`
  })
  return `<div class="scroll"><table><tr><th>${what}</th><th>allowed</th><th>asked</th><th>denied</th>${hasBytes ? '<th>sent</th><th>received</th>' : ''}<th></th></tr>${rows.join('')}</table></div>`
}

function bar(counts: Counts, most: number): string {
  if (most === 0) return ''
  let x = 0
  const parts = kinds.map(({ of, kind }) => {
    const wide = (counts[of] / most) * 200
    const part = wide === 0 ? '' : `<rect class="${kind}" x="${x.toFixed(1)}" y="0" width="${Math.max(1, wide).toFixed(1)}" height="12"/>`
    x += wide
    return part
  })
  return `<svg viewBox="0 0 200 12" preserveAspectRatio="none" style="height:12px" aria-hidden="true">${parts.join('')}</svg>`
}

function countTable(what: string, counts: readonly { readonly name: string; readonly count: number }[]): string {
  if (counts.length === 0) return ''
  const most = Math.max(...counts.map(({ count }) => count), 1)
  const rows = counts.map(({ name, count }) => `<tr><td>${escaped(name)}</td><td>${count.toLocaleString('en')}</td><td class="bar"><svg viewBox="0 0 200 12" preserveAspectRatio="none" style="height:12px" aria-hidden="true"><rect class="one" x="0" y="0" width="${((count / most) * 200).toFixed(1)}" height="12"/></svg></td></tr>`)
  return `<div class="scroll"><table><tr><th>${what}</th><th>times</th><th></th></tr>${rows.join('')}</table></div>`
}

function questions({ report, limit }: ReportPage): string {
  const lines = questionLines(report)
  if (lines.length === 0) return ''
  const { byHost, byReviewer } = report.questions
  const rows = byHost.slice(0, limit).map(({ host, port, asked, allowed, denied, expired, agents }) => `<tr><td>${escaped(`${host}:${port}`)}</td><td>${asked}</td><td>${allowed}</td><td>${denied}</td><td>${expired}</td><td>${escaped(agents.join(', '))}</td></tr>`)
  const hosts = rows.length === 0 ? '' : `<div class="scroll"><table><tr><th>about</th><th>asked</th><th>allowed</th><th>denied</th><th>expired</th><th>for</th></tr>${rows.join('')}</table></div>`
  return lines.map((line) => `<p>${escaped(line)}</p>`).join('') + countTable('waited', waitBars(report).map(({ label, count }) => ({ name: label, count }))) + hosts + countTable('answered by', byReviewer.slice(0, limit))
}

function neverHit({ suggestions: { neverHit: entries = [] }, limit }: ReportPage): string {
  if (entries.length === 0) return ''
  const items = entries.slice(0, limit).map(({ id, pattern, file, line }) => `<li>${escaped(`${file}:${line} ${id}${pattern === '' ? '' : ` ${pattern}`}`)}</li>`)
  return `<ul>${items.join('')}</ul>${entries.length > limit ? `<p class="quiet">and ${plural(entries.length - limit, 'other')}</p>` : ''}`
}

/** Text of a page: control and bidirectional characters as escapes, and no markup. */
function escaped(text: string): string {
  return text.split('\n').map((line) => escapeText(line, 400)).join('\n').replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
