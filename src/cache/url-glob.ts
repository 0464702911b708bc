// Which URLs an operator means: a micromatch glob over the whole URL. For lists, exports and removals by people, never for
// policy. A glob is a regular expression that backtracks, so it runs where it can be stopped: it never holds up the proxy.
import { createContext, Script, type Context } from 'node:vm'
import micromatch from 'micromatch'

/** The glob cannot be used; the message is a clause. */
export class GlobFault extends Error {
  override readonly name = 'GlobFault'
}

const maxLength = 512
/** of all that one filter is asked for in one turn of the loop */
const turnMs = 150
const script = new Script('urls.map((url) => expression.test(url))')

export class UrlGlob {
  readonly #text: string
  readonly #context: Context

  /** `docs.example` stands for `*://docs.example/**`, `docs.example/api/**` for that under both schemes. Throws GlobFault. */
  constructor(text: string) {
    if (text === '' || text.length > maxLength) throw new GlobFault(`a glob has 1 to ${maxLength} characters`)
    const glob = text.includes('://') ? text : `*://${text}${text.includes('/') ? '' : '/**'}`
    const expression: unknown = micromatch.makeRe(glob, { dot: true, nonegate: true, noextglob: true })
    if (!(expression instanceof RegExp)) throw new GlobFault(`\`${text}\` is no glob`)
    this.#text = text
    this.#context = createContext({ expression, urls: [] })
  }

  /** For each URL whether it is meant. Throws GlobFault when that takes too long to be found out. */
  fits(urls: readonly string[]): readonly boolean[] {
    this.#context['urls'] = urls
    let found: unknown
    try {
      found = script.runInContext(this.#context, { timeout: turnMs })
    } catch (error) {
      // it is an error of that other realm
      if (typeof error === 'object' && error !== null && 'code' in error && error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw new GlobFault(`\`${this.#text}\` takes too long to be compared: use fewer \`*\``)
      throw error
    }
    // a URL is also meant when it is written as it is, `?` and `[` included
    return Array.isArray(found) ? urls.map((url, at) => found[at] === true || url === this.#text) : []
  }
}
