// A page as text or Markdown: its title, its URL, how old it is, and its main part. Runs in page-worker.ts, since the time
// and memory that a hostile page takes here are anybody's guess. Pure; nothing of the page is run or loaded.
import { Readability } from '@mozilla/readability'
import { parseHTML, type PageDocument, type PageNode } from 'linkedom'
import { pageText } from './page-charset.ts'
import { UnreadablePage, type PageJob } from './page-job.ts'
import { writePage } from './page-writer.ts'

const maxMarks = 300_000
const maxEntities = 200_000
// what finds the main part takes time by the square of these
const maxElementsToJudge = 8_000
const maxDepthToJudge = 200
const shortestArticle = 250
const maxLength = 4 * 1024 * 1024
const maxTitle = 300
const impliedEnds: ReadonlySet<string> = new Set(['p', 'li', 'dt', 'dd', 'tr', 'td', 'th', 'tbody', 'thead', 'option', 'br', 'img', 'hr', 'meta', 'link', 'input', 'area', 'base', 'col', 'source', 'wbr'])

/** Throws UnreadablePage. */
export function readPage({ bytes, contentType, url, format, ageS }: PageJob): string {
  const html = pageText(bytes, contentType)
  const { marks, entities, depth } = measure(html)
  if (marks > maxMarks) throw new UnreadablePage(`it has more than ${maxMarks} tags`)
  if (entities > maxEntities) throw new UnreadablePage(`it has more than ${maxEntities} character references`)
  const document = documentOf(html)
  const title = titleOf(document.querySelector('title')?.textContent ?? '')
  const base = baseOf(document, url)
  const main = marks <= maxElementsToJudge && depth <= maxDepthToJudge ? mainPart(document) : document.documentElement
  // finding it changes the document
  const root: PageNode | null = main ?? documentOf(html).documentElement
  const body = root === null ? '' : writePage(root, { format, base, maxLength })
  return `${header(title, url, format, ageS)}${body}`
}

/** How much it is to look at, roughly and in one pass. */
function measure(html: string): { readonly marks: number; readonly entities: number; readonly depth: number } {
  let marks = 0
  let depth = 0
  let deepest = 0
  for (const [, slash, name = ''] of html.matchAll(/<(\/?)([A-Za-z][A-Za-z0-9-]{0,30})/g)) {
    marks++
    if (impliedEnds.has(name.toLowerCase())) continue
    depth = slash === '/' ? Math.max(0, depth - 1) : depth + 1
    if (depth > deepest) deepest = depth
    if (marks > maxMarks) break
  }
  let entities = 0
  for (let at = html.indexOf('&'); at !== -1 && entities <= maxEntities; at = html.indexOf('&', at + 1)) entities++
  return { marks, entities, depth: deepest }
}

/** It has an element that holds all of it: what is no whole document is put into one. */
function documentOf(html: string): PageDocument {
  const { document } = parseHTML(/<html[\s>]/i.test(html.slice(0, 65_536)) ? html : '')
  if (document.documentElement?.nodeName === 'HTML') return document
  return parseHTML(`<!doctype html><html><body>${html}</body></html>`).document
}

/** undefined: nothing of it stands out. */
function mainPart(document: PageDocument): PageNode | undefined {
  const article = articleOf(document)
  if (article === null || article.content === null || (article.textContent ?? '').trim().length < shortestArticle) return undefined
  return article.content
}

/** Its finder fails on documents that are odd enough, which have no main part then. */
function articleOf(document: PageDocument): ReturnType<Readability['parse']> {
  try {
    return new Readability(document, { serializer: (node) => node }).parse()
  } catch (error) {
    if (error instanceof TypeError) return null
    throw error
  }
}

function titleOf(title: string): string {
  const clean = title.replaceAll(/[\p{Cc}\s]+/gu, ' ').trim()
  return clean.length <= maxTitle ? clean : `${clean.slice(0, maxTitle)}...`
}

function baseOf(document: PageDocument, url: string): string {
  const href = document.querySelector('base[href]')?.getAttribute('href')
  const base = href === undefined || href === null ? null : URL.parse(href, url)
  return base === null || (base.protocol !== 'http:' && base.protocol !== 'https:') ? url : base.href
}

function header(title: string, url: string, format: PageJob['format'], ageS: number | undefined): string {
  const age = ageS === undefined ? '' : `From the cache, ${ageText(ageS)} old\n`
  if (format === 'text') return `${title === '' ? '' : `${title}\n`}URL: ${url}\n${age}\n`
  return `${title === '' ? '' : `# ${title.replaceAll(/[\\`*[\]<]/g, String.raw`\$&`)}\n\n`}URL: ${url}\n${age}\n---\n\n`
}

function ageText(seconds: number): string {
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)} h` : `${Math.floor(seconds / 86_400)} days`
}
