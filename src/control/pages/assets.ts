// The two files that the pages load, under names that hold their content's hash: a browser may keep them for
// good and never mixes two releases. They are the only script and style that the pages can run.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'

export interface Asset {
  readonly type: string
  readonly body: Buffer
}

export interface Assets {
  /** file name under `/assets/` */
  readonly style: string
  readonly script: string
  find(name: string): Asset | undefined
}

/** Rejects with the system's error when a file is not beside this one. */
export async function loadAssets(): Promise<Assets> {
  const [css, js] = await Promise.all([
    readFile(new URL('./style.css', import.meta.url)),
    readFile(new URL('./page.js', import.meta.url)),
  ])
  const style = `style.${hashOf(css)}.css`
  const script = `page.${hashOf(js)}.js`
  const files: ReadonlyMap<string, Asset> = new Map([
    [style, { type: 'text/css; charset=utf-8', body: css }],
    [script, { type: 'text/javascript; charset=utf-8', body: js }],
  ])
  return { style, script, find: (name) => files.get(name) }
}

function hashOf(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex').slice(0, 16)
}
