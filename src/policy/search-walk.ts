// The walk over a provider's request: every place but those that hold somebody else's data (schemas of functions, calls
// and answers of tools) is looked at, since new containers of tools appear all the time. Must never miss a tool because
// its container is new, nor quote more of a body than the names of keys, tools and models.
import type { ProviderApi, SearchLimit } from './provider-search.ts'
import { isJsonArray, isJsonObject } from './strict-json.ts'
import type { JsonObject, JsonValue } from './strict-json.ts'

export interface SearchPlace {
  readonly where: string
  readonly what: string
}

/** Keys whose presence is the search, folded; null and false are its absence. */
const searchKeys: ReadonlySet<string> = new Set([
  // Chat Completions of OpenAI; tools of Gemini and Vertex AI; gateways
  'websearchoptions', 'googlesearch', 'googlesearchretrieval', 'urlcontext', 'enterprisewebsearch', 'parallelaisearch',
])
/** Starts of `type` of a tool, folded. */
const searchTypes: readonly string[] = ['websearch', 'webfetch', 'googlesearch', 'urlcontext', 'enterprisewebsearch', 'browsersearch', 'xsearch']
/** Tools of an agent toolset, by name. */
const toolsetSearches: readonly string[] = ['websearch', 'webfetch']
/** What the provider holds, so that its tools are not seen here: key, folded, and the key or keys it stands in. */
const unseen: readonly { readonly key: string; readonly inside: string | undefined; readonly says: string }[] = [
  { key: 'inputfileid', inside: undefined, says: 'requests in a file' },
  { key: 'filename', inside: 'inputconfig', says: 'requests in a file' },
  { key: 'gcssource', inside: 'inputconfig', says: 'requests in a bucket' },
  { key: 'bigquerysource', inside: 'inputconfig', says: 'requests in a table' },
  { key: 'id', inside: 'prompt', says: 'a prompt kept by the provider' },
  { key: 'id', inside: 'workflow', says: 'a workflow kept by the provider' },
]
/** Models and agents that search without a tool: `gpt-4o-search-preview`, `gpt-5-search-api`, `o3-deep-research`. */
const searchingModel = /(?:^|[-_/])(?:search[-_](?:preview|api)|deep[-_]research)|:online$/
const ownFiles = /^https:\/\/generativelanguage\.googleapis\.com\/v1(?:beta)?\/files\/[\w-]+$/

export function modelSearches(name: string): boolean {
  return searchingModel.test(name.toLowerCase())
}

export class SearchWalk {
  /** `settings.external_web_access` is false, or what the limit takes for it */
  saysCached = false
  readonly #api: ProviderApi
  readonly #limit: SearchLimit
  readonly #path: (string | number)[] = []
  #found: SearchPlace | undefined
  /** a search tool that the limit takes is declared */
  #hasCachedTool = false
  #chosen: SearchPlace | undefined

  constructor(api: ProviderApi, limit: SearchLimit) {
    this.#api = api
    this.#limit = limit
  }

  /** The first thing that goes beyond the limit. */
  finding(): SearchPlace | undefined {
    return this.#found ?? (this.#hasCachedTool ? undefined : this.#chosen)
  }

  visit(value: JsonValue): void {
    if (this.#found !== undefined) return
    if (isJsonArray(value)) {
      for (const [at, element] of value.entries()) if (typeof element === 'object') this.#below(at, () => this.visit(element))
    } else if (isJsonObject(value)) this.#object(value)
  }

  #object(object: JsonObject): void {
    for (const [key, value] of object) {
      if (this.#found !== undefined) return
      if (value === null || isForeign(object, key)) continue
      this.#below(key, () => this.#member(object, fold(key), value))
    }
  }

  #member(object: JsonObject, key: string, value: JsonValue): void {
    const kept = this.#keptElsewhere(key)
    if (kept !== undefined) this.#find(`names ${kept}, which cannot be seen here`)
    else if (value !== false && searchKeys.has(key)) this.#find('is a search of the web')
    else if (key === 'externalwebaccess') this.#access(value)
    else if (key === 'indexedwebaccess' && value !== false && !this.#takesIndex()) this.#find('asks for the index of the web')
    else if ((key === 'model' || key === 'agent') && typeof value === 'string' && modelSearches(value)) this.#find(`is ${quote(value)}, which searches by itself`)
    else if (key === 'models' && isJsonArray(value) && value.some((name) => typeof name === 'string' && modelSearches(name))) this.#find('names a model that searches by itself')
    else if (key === 'toolchoice') this.#choice(value)
    else if (key === 'tools') this.#tools(value)
    else if (key === 'plugins') this.#plugins(value)
    else if (this.#isFetched(object, key, value)) this.#find('is a URL that the provider would fetch')
    else this.visit(value)
  }

  #tools(value: JsonValue): void {
    // one tool in the place of a list of one is taken by some
    if (isJsonObject(value)) this.#tool(value)
    else if (isJsonArray(value)) for (const [at, tool] of value.entries()) this.#below(at, () => (isJsonObject(tool) ? this.#tool(tool) : this.visit(tool)))
  }

  #tool(tool: JsonObject): void {
    // `type` and `Type` in one object: some reader takes the one, some the other
    for (const [key, value] of tool) {
      if (fold(key) !== 'type' || typeof value !== 'string') continue
      const kind = fold(value)
      if (searchTypes.some((start) => kind.startsWith(start))) {
        if (this.#isCached(tool, value)) this.#hasCachedTool = true
        else this.#below(key, () => this.#find(`is ${quote(value)}`))
      } else if (kind.startsWith('agenttoolset') && toolsetSearches.some((name) => isEnabled(tool, name))) {
        this.#below(key, () => this.#find(`is ${quote(value)} with web_search or web_fetch`))
      }
    }
    this.#object(tool)
  }

  /** OpenAI's `web_search` alone can be kept off the web; the previews and other providers ignore it, or do not know it. */
  #isCached(tool: JsonObject, type: string): boolean {
    if (this.#api !== 'openai' || this.#limit.mode !== 'cached' || !/^web_search(?:_\d{4}_\d\d_\d\d)?$/.test(type)) return false
    const access = tool.get('external_web_access')
    return access === false || (access === 'indexed' && this.#takesIndex())
  }

  #access(value: JsonValue): void {
    if (value === false || (value === 'indexed' && this.#takesIndex())) {
      if (this.#path.length === 2 && this.#path[0] === 'settings' && this.#path[1] === 'external_web_access') this.saysCached = true
    } else this.#find(value === 'indexed' ? 'is "indexed"' : 'is not false')
  }

  #takesIndex(): boolean {
    return this.#limit.mode === 'cached' && this.#limit.indexed
  }

  /** A choice adds no tool: one of a search tool is refused where no such tool is declared that may be used. */
  #choice(value: JsonValue): void {
    for (const name of choices(value)) {
      if (searchTypes.some((start) => fold(name).startsWith(start))) this.#chosen ??= { where: this.#where(), what: `${this.#where()} is ${quote(name)}` }
    }
  }

  #plugins(value: JsonValue): void {
    for (const plugin of isJsonArray(value) ? value : [value]) {
      if (isJsonObject(plugin) && memberOf(plugin, 'id') === 'web') this.#find('is a search of the web')
    }
    this.visit(value)
  }

  #keptElsewhere(key: string): string | undefined {
    const inside = fold(String(this.#path.at(-2) ?? ''))
    return unseen.find((each) => each.key === key && (each.inside === undefined || each.inside === inside))?.says
  }

  #isFetched(object: JsonObject, key: string, value: JsonValue): boolean {
    if (key === 'imageurl' || key === 'fileurl' || key === 'fileuri') return isWebUrl(isJsonObject(value) ? memberOf(value, 'url') : value)
    // an MCP server is written like this too, and is no page
    return key === 'url' && memberOf(object, 'type') === 'url' && isWebUrl(value) && fold(String(this.#path.at(-3))) !== 'mcpservers'
  }

  #below(key: string | number, look: () => void): void {
    this.#path.push(key)
    look()
    this.#path.pop()
  }

  #find(says: string): void {
    const where = this.#where()
    this.#found ??= { where, what: `\`${where}\` ${says}` }
  }

  #where(): string {
    let text = ''
    for (const key of this.#path) {
      if (typeof key === 'number') text += `[${key}]`
      else text += `${text === '' ? '' : '.'}${/^[\w-]{1,40}$/.test(key) ? key : '…'}`
    }
    return text
  }
}

/** Case and separators aside, as lenient readers take keys: the long s and the Kelvin sign among letters. */
function fold(text: string): string {
  return text.replaceAll('\u017f', 's').replaceAll('\u212a', 'k').toLowerCase().replaceAll(/[_\-.]/g, '')
}

function memberOf(object: JsonObject, folded: string): JsonValue | undefined {
  for (const [key, value] of object) if (fold(key) === folded) return value
  return undefined
}

/** A schema of a named function, a call of a tool or its answer: data of others, which no provider takes tools from. */
function isForeign(object: JsonObject, key: string): boolean {
  switch (key) {
    case 'parameters':
    case 'parametersJsonSchema':
    case 'parameters_json_schema':
    case 'input_schema':
    case 'input_examples':
    case 'output_schema':
    case 'args':
    case 'response':
      return typeof object.get('name') === 'string'
    case 'input':
      return typeof object.get('name') === 'string' && textOf(object.get('type')).endsWith('tool_use')
    case 'schema':
      return typeof object.get('name') === 'string' || object.get('type') === 'json_schema'
    case 'responseSchema':
    case 'response_schema':
    case 'responseJsonSchema':
    case 'response_json_schema':
      return true
    default:
      return false
  }
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : ''
}

/** An agent toolset has all its tools but those that it says are off. */
function isEnabled(toolset: JsonObject, name: string): boolean {
  const configs = memberOf(toolset, 'configs')
  let says: JsonValue | undefined
  for (const config of isJsonArray(configs) ? configs : []) {
    if (!isJsonObject(config) || fold(textOf(memberOf(config, 'name'))) !== name) continue
    says = memberOf(config, 'enabled') ?? says
    if (says === true) return true
  }
  if (says !== undefined) return says !== false
  const general = memberOf(toolset, 'defaultconfig')
  return !isJsonObject(general) || memberOf(general, 'enabled') !== false
}

/** Every word in a tool_choice that can name a tool. */
function choices(value: JsonValue): readonly string[] {
  if (typeof value === 'string') return [value]
  if (isJsonArray(value)) return value.flatMap(choices)
  if (!isJsonObject(value)) return []
  const names = [...value].flatMap(([key, each]) => (fold(key) === 'type' || isJsonArray(each) || isJsonObject(each) ? choices(each) : []))
  return textOf(value.get('type')) === 'function' ? [] : names
}

function isWebUrl(value: JsonValue | undefined): boolean {
  return typeof value === 'string' && /^\s*https?:/i.test(value) && !ownFiles.test(value)
}

function quote(text: string): string {
  return /^[\w.:/-]{1,64}$/.test(text) ? `"${text}"` : 'one that searches'
}
