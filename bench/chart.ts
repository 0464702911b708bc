// A bar chart as plain SVG: one bar a peer with its extremes, ours in colour, readable on light and dark pages.

export interface Bar {
  readonly label: string
  readonly value: number
  readonly min: number
  readonly max: number
  readonly ours: boolean
  /** the figure as it is written beside the bar */
  readonly text: string
}

const width = 720
const labelWidth = 170
const valueWidth = 80
const rowHeight = 26
const top = 44

const style = `text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600}.bar{fill:#8c959f}.ours{fill:#0969da}
.range{stroke:#1f2328;stroke-width:1.5}@media(prefers-color-scheme:dark){text{fill:#e6edf3}.bar{fill:#6e7681}.ours{fill:#2f81f7}.range{stroke:#e6edf3}}`

export function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

function barRow(bar: Bar, place: number, scale: number): string {
  const y = top + place * rowHeight
  const middle = y + rowHeight / 2
  const at = (value: number): string => (labelWidth + value * scale).toFixed(1)
  return `<text x="${labelWidth - 8}" y="${middle + 4}" text-anchor="end">${escapeXml(bar.label)}</text>
<rect class="${bar.ours ? 'ours' : 'bar'}" x="${labelWidth}" y="${y + 4}" width="${Math.max(1, bar.value * scale).toFixed(1)}" height="${rowHeight - 8}"/>
<line class="range" x1="${at(bar.min)}" x2="${at(bar.max)}" y1="${middle}" y2="${middle}"/>
<text x="${at(bar.max)}" dx="6" y="${middle + 4}">${escapeXml(bar.text)}</text>
`
}

/** Bars in the order given, all on one scale that starts at 0. */
export function barChart(title: string, unit: string, bars: readonly Bar[]): string {
  const longest = Math.max(...bars.map((bar) => Math.max(bar.max, bar.value)), Number.MIN_VALUE)
  const scale = (width - labelWidth - valueWidth) / longest
  const height = top + bars.length * rowHeight + 12
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>${escapeXml(title)}</title>
<style>${style}</style>
<text class="title" x="8" y="18">${escapeXml(title)}</text>
<text x="8" y="36">${escapeXml(unit)}; median, the line from least to most; less is better</text>
${bars.map((bar, place) => barRow(bar, place, scale)).join('')}</svg>
`
}
