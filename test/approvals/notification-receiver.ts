// A receiver of notifications that answers as told, and a question to tell it of.
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { Test } from 'tap'
import type { Approval } from '../../src/approvals/approval.ts'
import { migrations } from '../../src/approvals/migrations.ts'
import { openSqliteStore } from '../../src/store/sqlite-store.ts'
import type { Store } from '../../src/store/store.ts'

export interface Post {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export type Reply = { readonly status: number; readonly headers?: Record<string, string> } | 'hang' | 'reset'

export interface Receiver {
  readonly url: string
  readonly posts: Post[]
  /** to each post, in its order; 204 where it says nothing */
  reply: (post: Post, number: number) => Reply | undefined
  /** resolves when there were so many posts in all */
  received(count: number): Promise<void>
}

export async function startReceiver(t: Test): Promise<Receiver> {
  const waiting = new Set<{ readonly count: number; readonly resolve: () => void }>()
  const server = createServer(async (request, response) => {
    request.setEncoding('utf8')
    let body = ''
    for await (const chunk of request) body += String(chunk)
    const post = { path: request.url ?? '', headers: request.headers, body }
    receiver.posts.push(post)
    const reply = receiver.reply(post, receiver.posts.length) ?? { status: 204 }
    for (const one of waiting) if (receiver.posts.length >= one.count && waiting.delete(one)) one.resolve()
    if (reply === 'hang') return
    if (reply === 'reset') request.socket.resetAndDestroy()
    else response.writeHead(reply.status, reply.headers).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const receiver: Receiver = {
    url: `http://127.0.0.1:${port}/hook/s3cretPathOfTheHook?key=s3cretQuery`,
    posts: [],
    reply: () => undefined,
    received: (count) => new Promise((resolve) => {
      if (receiver.posts.length >= count) resolve()
      else waiting.add({ count, resolve })
    }),
  }
  return receiver
}

export function testStore(t: Test): Store {
  const store = openSqliteStore(':memory:', migrations)
  t.teardown(() => store.close())
  return store
}

export const question: Approval = {
  id: '01JD00000000000000000000AP',
  version: 1,
  state: 'pending',
  kind: 'host',
  session: 's1a2b3c4d5e6f',
  agent: 'codex',
  owner: 'alice@example.com',
  team: 'web',
  scheme: 'https',
  host: 'files.example.net',
  port: 443,
  method: 'POST',
  url: 'https://files.example.net/upload/s3cretPath?token=s3cretQuery',
  requestDigest: undefined,
  upgrade: undefined,
  reason: 'no rule of files.example.net allows POST /upload/s3cretPath, and unknown hosts are asked about',
  rule: { id: 'unknown', pattern: '*', file: 'policies/10-base.toml', line: 3 },
  isReview: false,
  statedReason: 'I need s3cretStated',
  userAgent: 'curl/8.5.0',
  clientAddress: '127.0.0.1',
  advisory: false,
  attempts: 1,
  waiting: 1,
  firstSeenMs: Date.UTC(2026, 0, 2, 3, 4, 5),
  lastSeenMs: Date.UTC(2026, 0, 2, 3, 4, 5),
  expiresMs: Date.UTC(2026, 0, 2, 3, 14, 5),
  snoozedUntilMs: undefined,
  firstYes: undefined,
  decision: undefined,
}

export const answered: Approval = {
  ...question,
  version: 2,
  state: 'allowed',
  decision: { verdict: 'allow', term: 'session', by: 'bob', secondBy: undefined, atMs: Date.UTC(2026, 0, 2, 3, 5, 5), comment: 'the spring report', grantId: '01JD00000000000000000000GR' },
}
