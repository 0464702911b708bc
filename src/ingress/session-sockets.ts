// The unix sockets of sessions that have one: a folder for each, with one socket in it, so that the folder can be
// shown to an agent that has no network and stays the same when the proxy is started again. Whoever connects is that
// session, so folder and socket are for our own user alone, and are there before and after only while it is live.
import { chmodSync, lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join, relative } from 'node:path'
import type { Session, Sessions } from '../approvals/session.ts'
import type { Front } from './front.ts'

export interface SessionSocketsOptions {
  /** `DATA/run`, absolute; nothing else may be in it */
  readonly folder: string
  readonly front: Pick<Front, 'accept'>
  readonly sessions: Pick<Sessions, 'live' | 'list' | 'onEnded'>
  /** for the operator log */
  readonly onFault: (error: unknown) => void
}

/** `sun_path` of Linux holds 108 bytes with its end, that of macOS 104. */
const maxPathBytes = 103
/** name of the socket in the folder of its session */
const socketName = 'proxy.sock'

export class SessionSockets {
  readonly #options: SessionSocketsOptions
  readonly #servers = new Map<string, Server>()
  #isClosed = false

  constructor(options: SessionSocketsOptions) {
    this.#options = options
    options.sessions.onEnded(({ id, hasSocket }) => {
      if (hasSocket) this.#end(id)
    })
  }

  /** absolute */
  pathOf(id: string): string {
    return join(this.#options.folder, id, socketName)
  }

  /** Whether the paths of sockets are short enough for the system, by whatever way to them is shorter. */
  get isPossible(): boolean {
    return Buffer.byteLength(shortest(this.pathOf('s000000000000'))) <= maxPathBytes
  }

  /**
   * Removes what an earlier process left, and opens those of sessions that are live still. One that cannot be opened
   * is a fault, and its session goes on without. Throws where the folder is not ours.
   */
  async reopen(): Promise<void> {
    const { folder, sessions, onFault } = this.#options
    const wanted = new Map(sessions.list().filter(({ hasSocket, endedMs }) => hasSocket && endedMs === undefined).map((session) => [session.id, session]))
    if (wanted.size === 0 && lstatSync(folder, { throwIfNoEntry: false }) === undefined) return
    makeFolder(folder)
    for (const name of readdirSync(folder)) if (!wanted.has(name)) rmSync(join(folder, name), { recursive: true, force: true })
    for (const session of wanted.values()) await this.open(session).catch(onFault)
  }

  /** Resolves to the socket's absolute path once it takes connections. Throws what the system says. */
  async open({ id, isIsolated }: Pick<Session, 'id' | 'isIsolated'>): Promise<string> {
    const { folder, front, sessions, onFault } = this.#options
    const path = this.pathOf(id)
    makeFolder(folder)
    makeFolder(join(folder, id))
    rmSync(path, { force: true })
    // as the listening front has them
    const server = createServer({ allowHalfOpen: true, highWaterMark: 65_536 }, (socket) => front.accept(socket, { id, isIsolated }))
    await listen(server, shortest(path))
    server.on('error', onFault)
    chmodSync(path, 0o600)
    this.#servers.set(id, server)
    // it ended, or the proxy did, while this was under way
    if (this.#isClosed || sessions.live(id) === undefined) this.#end(id)
    return path
  }

  /** Takes nothing in any more. The folders stay for the next process; it removes those that nobody needs. */
  close(): void {
    this.#isClosed = true
    for (const id of this.#servers.keys()) this.#close(id)
  }

  /** What connected before goes on until its own end: its session is live no more, and each request is told so. */
  #end(id: string): void {
    this.#close(id)
    rmSync(join(this.#options.folder, id), { recursive: true, force: true })
  }

  /** Node unlinks the socket with it. */
  #close(id: string): void {
    this.#servers.get(id)?.close()
    this.#servers.delete(id)
  }
}

/** For our own user alone before anything is in it. Throws when it is somebody else's, or no folder. */
function makeFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  const found = lstatSync(path)
  const ownUid = process.getuid?.()
  if (!found.isDirectory()) throw new Error(`\`${path}\` is no folder, so there is no place for the sockets of sessions: move it away`)
  if (ownUid !== undefined && found.uid !== ownUid) throw new Error(`the folder for the sockets of sessions, \`${path}\`, belongs to another user (uid ${found.uid})`)
  chmodSync(path, 0o700)
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ path }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** A socket's path may have a hundred bytes or so: the shorter way to the same file. */
function shortest(path: string): string {
  const near = relative(process.cwd(), path)
  return near.length < path.length ? near : path
}
