// The fetch service of a proxy, an origin, and a session to ask with.
import type http from 'node:http'
import { startWith, type Issued, type Wanted } from './issued-sessions.ts'
import { httpOrigin, type HttpOrigin } from './origins.ts'
import type { TestProxy, TestProxyOptions } from './proxy.ts'
import type { Scope } from './scope.ts'
import { readAnswers, say, type Answer } from './wire-client.ts'

export interface FetchWorld {
  readonly proxy: TestProxy
  readonly session: Issued
  readonly origin: HttpOrigin
  /** `http://site.test:PORT` */
  readonly base: string
  fetch(url: string, more?: { readonly format?: string; readonly fields?: string; readonly method?: string; readonly session?: Issued }): Promise<Answer>
}

export interface FetchOptions {
  readonly answer?: http.RequestListener
  /** TOML of the rule of the origin; default allows it */
  readonly rule?: string
  /** TOML; ORIGIN stands for the authority */
  readonly more?: string
  readonly top?: string
  readonly sessions?: readonly Wanted[]
  readonly hosts?: Readonly<Record<string, string>>
  readonly policies?: Readonly<Record<string, string>>
  readonly change?: TestProxyOptions['change']
}

/** Target of a question. */
export function question(url: string, format?: string): string {
  return `/fetch?url=${encodeURIComponent(url)}${format === undefined ? '' : `&format=${format}`}`
}

/** One question, on a connection of its own. */
export async function ask(proxy: TestProxy, target: string, fields: string, method = 'GET'): Promise<Answer> {
  const [answer] = readAnswers(await say(proxy.port, `${method} ${target} HTTP/1.1\r\nHost: 127.0.0.1:${proxy.port}\r\n${fields}Connection: close\r\n\r\n`), [method])
  if (answer === undefined) throw new Error('no answer')
  return answer
}

/** A proxy with an origin, `site.test`, that its one rule allows, and a session. */
export async function startFetching(t: Scope, { answer, rule = 'verdict = "allow"', more = '', top = '', sessions = [{}], hosts = {}, policies = {}, change }: FetchOptions = {}): Promise<FetchWorld> {
  const origin = await httpOrigin(t, answer)
  const authority = `site.test:${origin.port}`
  const { proxy, sessions: issued } = await startWith(t, sessions, {
    policy: `${top}\n[network]\nunknown = "deny"\ndenied_domains = ["denied.test"]\n[[network.rules]]\nid = "site"\nhosts = ["${authority}"]\nlocal = ["127.0.0.1/32"]\n${rule}\n${more.replaceAll('ORIGIN', authority)}`,
    hosts: { 'site.test': '127.0.0.1', 'denied.test': '127.0.0.1', ...hosts }, policies, ...(change === undefined ? {} : { change }),
  })
  const [session] = issued
  if (session === undefined) throw new Error('no session')
  return {
    proxy, session, origin, base: `http://${authority}`,
    fetch: (url, options = {}) => ask(proxy, question(url, options.format), `Proxy-Authorization: ${(options.session ?? session).field}\r\n${options.fields ?? ''}`, options.method),
  }
}

/** Code of a problem. */
export const codeOf = (answer: Answer): unknown => (JSON.parse(answer.body) as { readonly code?: unknown }).code

const words = 'The quick brown fox jumps over the lazy dog, as it has done in every example before. '
/** A page with a main part, and things that are none of it. */
export const article = `<!doctype html><html><head><title>A page &amp; more</title><script>evil()</script></head><body><nav><a href="/">Home</a></nav>
<article><h1>Foxes</h1><p>${words.repeat(6)}</p><p>See <a href="/other?a=1">the other page</a>, <a href="javascript:evil()">not this</a>.</p><p>${words.repeat(6)}</p></article></body></html>`
