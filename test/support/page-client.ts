// Somebody who is signed in to the pages, without a browser: sends forms as the pages make them.
import type { FastifyInstance } from 'fastify'
import { cookieName, secretOf } from './review-pages.ts'

export interface PageAnswer {
  readonly status: number
  readonly body: string
  readonly headers: Readonly<Record<string, unknown>>
}

export interface PageClient {
  get(path: string): Promise<PageAnswer>
  /** Sends fields with the CSRF token of this person; `csrf` replaces it. */
  post(path: string, fields?: Readonly<Record<string, string>>): Promise<PageAnswer>
}

export function pageClient(server: FastifyInstance, name: string): PageClient {
  const cookie = `${cookieName}=${secretOf(name)}`
  const get = async (url: string): Promise<PageAnswer> => {
    const { statusCode, body, headers } = await server.inject({ url, headers: { cookie } })
    return { status: statusCode, body, headers }
  }
  return {
    get,
    async post(url, fields = {}) {
      const csrf = /name="csrf" value="([^"]+)"/.exec((await get('/sessions')).body)?.[1] ?? ''
      const { statusCode, body, headers } = await server.inject({
        method: 'POST', url, headers: { cookie, 'content-type': 'application/x-www-form-urlencoded' }, payload: new URLSearchParams({ csrf, ...fields }).toString(),
      })
      return { status: statusCode, body, headers }
    },
  }
}

/** Hidden fields of the page's forms, the last one of a name. */
export function hiddenFields(body: string): Record<string, string> {
  return Object.fromEntries([...body.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)">/g)].map(([, name = '', value = '']) => [name, value]))
}
