// Writes the elements of a page as text or Markdown, in one walk without recursion and in bounded memory. What is written
// holds nothing that acts where it is shown: no script or other scheme than http, no image to load, no control characters.
import type { PageElement, PageNode } from 'linkedom'

export interface WriterOptions {
  readonly format: 'text' | 'markdown'
  /** what relative links are relative to */
  readonly base: string
  /** of what is written, characters; what is beyond is left out */
  readonly maxLength: number
}

const text = 3
const maxContainers = 16
const skipped: ReadonlySet<string> = new Set([
  'HEAD', 'TITLE', 'SCRIPT', 'STYLE', 'NOSCRIPT', 'TEMPLATE', 'IFRAME', 'OBJECT', 'EMBED', 'SVG', 'MATH', 'CANVAS', 'VIDEO', 'AUDIO',
  'INPUT', 'SELECT', 'TEXTAREA', 'BUTTON', 'DIALOG',
])
const blocks: ReadonlySet<string> = new Set([
  'ADDRESS', 'ARTICLE', 'ASIDE', 'BODY', 'CAPTION', 'DD', 'DETAILS', 'DIV', 'DL', 'DT', 'FIELDSET', 'FIGCAPTION', 'FIGURE', 'FOOTER', 'FORM', 'HEADER', 'HGROUP',
  'HTML', 'MAIN', 'NAV', 'P', 'SECTION', 'SUMMARY', 'TABLE', 'TBODY', 'TFOOT', 'THEAD', 'TR', 'UL', 'OL', 'LI', 'BLOCKQUOTE', 'PRE', 'H1', 'H2', 'H3', 'H4', 'H5', 'H6',
])
const emphasis: ReadonlyMap<string, string> = new Map([['STRONG', '**'], ['B', '**'], ['EM', '_'], ['I', '_'], ['CODE', '`']])
const controls = /(?![\t\n])\p{Cc}/gu
const special = /[\\`*[\]<]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])/g
const leading = /^(#{1,6} |>|[-+] |\d{1,9}[.)] |---)/

/** Lines stand below it with a prefix: a quotation, or an item of a list. */
interface Container {
  readonly prefix: string
  /** stands before the first line instead; undefined once it did */
  marker: string | undefined
}

/** Opened within a line, and closed with `end` if the line is still the same and something was written between. */
interface Inline {
  readonly end: string
  /** of its opening in the line; -1 when that line is over */
  at: number
  readonly written: number
}

export function writePage(root: PageNode, options: WriterOptions): string {
  const writer = new PageWriter(options)
  let node: PageNode | null = root
  while (node !== null && !writer.isFull) {
    const goesIn = writer.enter(node)
    if (goesIn && node.firstChild !== null) {
      node = node.firstChild
      continue
    }
    if (goesIn) writer.leave(node)
    while (node !== null && node !== root && node.nextSibling === null) {
      node = node.parentNode
      if (node !== null) writer.leave(node)
    }
    node = node === null || node === root ? null : node.nextSibling
  }
  return writer.end()
}

class PageWriter {
  readonly #isMarkdown: boolean
  readonly #base: string
  readonly #maxLength: number
  readonly #out: string[] = []
  #length = 0
  /** pieces of the line under way */
  #line: string[] = []
  /** characters that are no spaces, so far */
  #written = 0
  #endsInSpace = true
  #inlines: Inline[] = []
  #openInLine: Inline[] = []
  readonly #containers: Container[] = []
  #skippedContainers = 0
  /** the next number of each list that is open; undefined: it has none */
  readonly #lists: (number | undefined)[] = []
  /** the last block was in a list */
  #wasInList = false
  #pre = 0
  #cell = 0
  #cells = 0
  #rows = 0
  #heading = ''
  isFull = false

  constructor({ format, base, maxLength }: WriterOptions) {
    this.#isMarkdown = format === 'markdown'
    this.#base = base
    this.#maxLength = maxLength
  }

  /** False: nothing of it is written. */
  enter(node: PageNode): boolean {
    if (node.nodeType === text) {
      this.#text(node.nodeValue ?? '')
      return false
    }
    if (!isElement(node)) return false
    const name = node.nodeName.toUpperCase()
    if (skipped.has(name) || isHidden(node)) return false
    if (blocks.has(name)) this.#flush()
    switch (name) {
      case 'BR':
        if (this.#pre > 0) this.#push('\n')
        else if (this.#cell > 0) this.#space()
        else this.#break()
        return false
      case 'HR':
        this.#flush()
        if (this.#cell === 0) this.#block('---')
        return false
      case 'IMG':
        this.#text(node.getAttribute('alt') ?? '')
        return false
      default:
        this.#open(node, name)
        return true
    }
  }

  leave(node: PageNode): void {
    const name = node.nodeName.toUpperCase()
    if (blocks.has(name)) this.#close(name)
    else if (name === 'TD' || name === 'TH') this.#cell -= 1
    else if (this.#isMarkdown && this.#pre === 0 && (emphasis.has(name) || name === 'A')) this.#closeInline()
  }

  end(): string {
    this.#flush()
    if (this.isFull) this.#out.push('\n\n[cut off here: the page is longer]')
    return `${this.#out.join('')}\n`
  }

  #open(node: PageElement, name: string): void {
    if (/^H[1-6]$/.test(name)) this.#heading = this.#isMarkdown ? `${'#'.repeat(Number(name.charAt(1)))} ` : ''
    else if (name === 'UL') this.#lists.push(undefined)
    else if (name === 'OL') this.#lists.push(1)
    else if (name === 'LI') this.#item()
    else if (name === 'BLOCKQUOTE') this.#contain('> ', undefined)
    else if (name === 'PRE') this.#pre += 1
    else if (name === 'TABLE') this.#rows = 0
    else if (name === 'TR') this.#cells = 0
    else if (name === 'TD' || name === 'TH') this.#openCell()
    else if (this.#isMarkdown && this.#pre === 0) this.#openInline(node, name)
  }

  #close(name: string): void {
    if (name === 'PRE') this.#closePre()
    else this.#flush()
    if (name === 'UL' || name === 'OL') this.#lists.pop()
    else if (name === 'LI' || name === 'BLOCKQUOTE') this.#leaveContainer()
    else if (name === 'TR') this.#closeRow()
    this.#heading = ''
  }

  #item(): void {
    const number = this.#lists.at(-1)
    if (number !== undefined) this.#lists[this.#lists.length - 1] = number + 1
    const marker = number === undefined ? '- ' : `${number}. `
    this.#contain(' '.repeat(marker.length), marker)
  }

  #contain(prefix: string, marker: string | undefined): void {
    if (this.#containers.length < maxContainers) this.#containers.push({ prefix, marker })
    else this.#skippedContainers += 1
  }

  #leaveContainer(): void {
    if (this.#skippedContainers > 0) this.#skippedContainers -= 1
    else this.#containers.pop()
  }

  #openCell(): void {
    if (this.#cells > 0 && this.#cell === 0) this.#push(' | ')
    this.#cells += 1
    this.#cell += 1
    this.#endsInSpace = true
  }

  #closeRow(): void {
    if (this.#cell > 0) return
    this.#rows += 1
    if (this.#isMarkdown && this.#rows === 1 && this.#cells > 1) this.#block(Array.from({ length: Math.min(this.#cells, 100) }, () => '---').join(' | '), true)
  }

  #closePre(): void {
    this.#pre -= 1
    if (this.#pre > 0) return
    const content = this.#line.join('').replaceAll(/^\n+|\s+$/g, '')
    this.#reset()
    if (content === '') return
    if (this.#cell > 0 || !this.#isMarkdown) this.#block(content)
    else this.#block(`${fenceFor(content)}\n${content}\n${fenceFor(content)}`)
  }

  #openInline(node: PageElement, name: string): void {
    const mark = emphasis.get(name)
    if (mark === undefined && name !== 'A') return
    const url = mark === undefined ? this.#linkOf(node.getAttribute('href')) : undefined
    const inline = { end: mark ?? (url === undefined ? '' : `](${url})`), at: this.#line.length, written: this.#written }
    this.#line.push('')
    this.#inlines.push(inline)
    this.#openInLine.push(inline)
  }

  #closeInline(): void {
    const inline = this.#inlines.pop()
    if (inline === undefined || inline.at === -1) return
    this.#openInLine.pop()
    if (inline.end === '' || inline.written === this.#written) return
    this.#line[inline.at] = inline.end.startsWith(']') ? '[' : inline.end
    this.#length += inline.end.length
    this.#line.push(inline.end)
  }

  /** Absolute; undefined: it leads nowhere that http can go. */
  #linkOf(href: string | null): string | undefined {
    if (href === null || href.startsWith('#')) return undefined
    const url = URL.parse(href, this.#base)
    if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) return undefined
    return url.href.replaceAll('(', '%28').replaceAll(')', '%29')
  }

  #text(raw: string): void {
    const clean = raw.replaceAll(controls, '')
    if (this.#pre > 0) {
      this.#push(clean)
      return
    }
    let words = clean.replaceAll(/[\t\n\f\r ]+/g, ' ')
    if (this.#endsInSpace) words = words.trimStart()
    if (words === '') return
    this.#push(this.#isMarkdown ? words.replaceAll(special, (each) => `\\${each}`) : words)
    this.#endsInSpace = words.endsWith(' ')
    if (words !== ' ') this.#written += words.length
  }

  #space(): void {
    if (!this.#endsInSpace) this.#push(' ')
    this.#endsInSpace = true
  }

  #break(): void {
    if (this.#line.length > 0) this.#push('\n')
    this.#endsInSpace = true
  }

  #push(piece: string): void {
    this.#line.push(piece)
    this.#length += piece.length
    if (this.#length > this.#maxLength) this.isFull = true
  }

  /** The line is over; in a cell of a table it goes on. */
  #flush(): void {
    if (this.#pre > 0) return
    if (this.#cell > 0) {
      this.#space()
      return
    }
    for (const inline of this.#openInLine) inline.at = -1
    const line = this.#line.join('').trim().replaceAll(' \n', '\n')
    this.#reset()
    if (line === '') return
    const isRow = this.#cells > 0 && this.#rows > 0
    const safe = this.#isMarkdown && this.#heading === '' ? line.replace(leading, '\\$1') : line
    this.#block(`${this.#heading}${safe}`, isRow)
  }

  #reset(): void {
    this.#line = []
    this.#openInLine = []
    this.#endsInSpace = true
  }

  /** `isClose`: right below what stands before it. */
  #block(content: string, isClose = false): void {
    const isItem = this.#containers.at(-1)?.marker !== undefined
    const lines = content.split('\n').map((line) => `${this.#prefix()}${line}`.trimEnd()).join('\n')
    if (this.#out.length > 0) this.#out.push(isClose || (isItem && this.#wasInList) ? '\n' : '\n\n')
    this.#out.push(lines)
    this.#wasInList = this.#lists.length > 0
    this.#length += lines.length - content.length
    if (this.#length > this.#maxLength) this.isFull = true
  }

  #prefix(): string {
    let prefix = ''
    for (const container of this.#containers) {
      prefix += container.marker ?? container.prefix
      container.marker = undefined
    }
    return prefix
  }
}

function isElement(node: PageNode): node is PageElement {
  return 'getAttribute' in node
}

function isHidden(element: PageElement): boolean {
  if (element.getAttribute('hidden') !== null || element.getAttribute('aria-hidden') === 'true') return true
  const style = element.getAttribute('style')
  return style !== null && /(?:^|[;\s])(?:display\s{0,5}:\s{0,5}none|visibility\s{0,5}:\s{0,5}hidden)/i.test(style.slice(0, 1000))
}

/** Longer than what stands within. */
function fenceFor(content: string): string {
  let fence = '```'
  for (const [run] of content.matchAll(/`{3,}/g)) if (run.length >= fence.length) fence = '`'.repeat(Math.min(run.length + 1, 64))
  return fence
}
