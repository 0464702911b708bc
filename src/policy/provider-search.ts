// Whether a request to a model provider asks it to read the web for the model: search tools, fetch tools, models that
// search by themselves, and content that is only named by a URL. Pure. Every provider's spelling counts at every
// provider, since gateways and compatible endpoints take those of others. What cannot be seen is never called none.
import { modelSearches, SearchWalk } from './search-walk.ts'
import { readStrictJson } from './strict-json.ts'

/** Whose API a host speaks. */
export const providerApis = ['openai', 'anthropic', 'gemini'] as const
export type ProviderApi = (typeof providerApis)[number]

/** What of the web a provider may read for its models. */
export interface SearchLimit {
  /** `cached`: what the provider has of it already, where it can say so; `disabled`: nothing */
  readonly mode: 'cached' | 'disabled'
  /** the provider's index counts as cached */
  readonly indexed: boolean
}

export interface ProviderRequest {
  readonly api: ProviderApi
  /** path as received */
  readonly path: string
  /** value of Content-Type; undefined: there is none */
  readonly contentType: string | undefined
  /** content without its Content-Encoding */
  readonly body: Uint8Array
}

export type SearchFinding =
  | { readonly kind: 'none' }
  /** as a clause: `tools[0].type is "web_search"`; `where` is the place in the JSON, or `path` */
  | { readonly kind: 'searches'; readonly where: string; readonly what: string }
  /** as a clause */
  | { readonly kind: 'unreadable'; readonly why: string }

/** What comes before the name of a model in a path. */
const modelPlaces: ReadonlySet<string> = new Set(['models', 'tunedmodels', 'deployments', 'engines', 'agents'])
const none: SearchFinding = { kind: 'none' }

// endpoints that take files and never tools: content is not read there. One spelling alone: what a server would first
// have to decode, fold or resolve is read as any other
const uploads: Readonly<Record<ProviderApi, RegExp>> = {
  openai: /^(?:\/openai)?\/v1\/(?:files|uploads\/[\w-]+\/parts|audio\/(?:transcriptions|translations)|images\/(?:edits|variations)|videos|containers\/[\w-]+\/files)$/,
  anthropic: /^\/v1\/(?:files|skills(?:\/[\w-]+\/versions)?)$/,
  gemini: /^\/upload\/v1(?:beta)?\/(?:files|fileSearchStores\/[\w-]+:uploadToFileSearchStore)$/,
}

/** Whether this is an upload to an endpoint that takes files alone, so that nothing of the content has to be seen. */
export function isUpload(api: ProviderApi, path: string, contentType: string | undefined): boolean {
  if (!uploads[api].test(path)) return false
  // of a resumable upload the bytes of the file are all there is, and have its type
  return api === 'gemini' || (contentType !== undefined && /^\s*multipart\/form-data\s*;/i.test(contentType))
}

/** What the request asks of the web, beyond what `limit` leaves. */
export function findSearch({ api, path, contentType, body }: ProviderRequest, limit: SearchLimit): SearchFinding {
  const inPath = searchInPath(path)
  if (inPath?.kind === 'model') return { kind: 'searches', where: 'path', what: 'the path names a model that searches by itself' }
  if (body.length === 0) return inPath === undefined ? none : { kind: 'searches', where: 'path', what: 'this is a call of the search itself' }
  const odd = contentType === undefined ? undefined : oddContent(contentType)
  if (odd !== undefined) return { kind: 'unreadable', why: odd }
  const read = readStrictJson(body)
  if ('unreadable' in read) return { kind: 'unreadable', why: `the content is no JSON that all would read alike: ${read.unreadable}` }
  const walk = new SearchWalk(api, limit)
  walk.visit(read.value)
  const found = walk.finding()
  if (found !== undefined) return { kind: 'searches', ...found }
  if (inPath !== undefined && (limit.mode === 'disabled' || !walk.saysCached)) {
    return { kind: 'searches', where: 'path', what: 'this is a call of the search itself, and `external_web_access` is not false' }
  }
  return none
}

/** The Codex search endpoint, and models that stand in the path; however it is spelled. */
function searchInPath(path: string): { readonly kind: 'call' | 'model' } | undefined {
  let plain = path
  try {
    plain = decodeURIComponent(path)
  } catch (error) {
    if (!(error instanceof URIError)) throw error
  }
  const folded = plain.toLowerCase().replaceAll(/[/\\]+/g, '/')
  if (folded.includes('alpha/search')) return { kind: 'call' }
  const segments = folded.split('/')
  const isModel = segments.some((segment, at) => modelPlaces.has(segments[at - 1] ?? '') && modelSearches(segment.replace(/:(?!online).*$/, '')))
  return isModel ? { kind: 'model' } : undefined
}

/** Content that some server would not read as JSON in UTF-8. */
function oddContent(contentType: string): string | undefined {
  const [type = ''] = contentType.split(';')
  if (!/^\s*(?:application\/(?:[\w.-]+\+)?json|text\/(?:plain|json))\s*$/i.test(type)) return 'the content is not of a type that is JSON'
  for (const [, charset = ''] of contentType.matchAll(/charset\s*=\s*["']?([^"';,\s]*)/gi)) {
    if (!/^(?:utf-?8|us-ascii)$/i.test(charset)) return 'the content is not said to be UTF-8'
  }
  return undefined
}
