// The load of the parked part of W6 in a process of its own: `node load.ts JOB`. It parks CONNECTs at a proxy,
// leaves, parks them again, decides as reviewers do, and says in one line of JSON what it saw. It reaches nothing
// but 127.0.0.1 and closes everything it opened.
import { Agent, request } from 'node:http'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { residentBytes } from '../proc.ts'
import { parkedOf, type ParkedLoad, type ParkedMeasured } from './figures.ts'
import { Ledger } from './ledger.ts'

/** What it is told once the proxy listens. */
export interface LoadJob {
  readonly load: ParkedLoad
  readonly proxy: { readonly port: number; readonly pid: number; readonly socketPath: string; readonly journalDir: string }
  /** id and value of Proxy-Authorization; the first batch takes those behind `load.sessions` */
  readonly sessions: readonly { readonly id: string; readonly field: string }[]
  /** reviewers' tokens; each may make so many calls before it has to wait */
  readonly tokens: readonly string[]
  readonly singleHolds: number
}

const connectsAtOnce = 64
const reviewersAtOnce = 16
/** below what the control API lets one reviewer do at once */
const callsPerToken = 100
/** time for what was read and not yet acted on, and for memory to come to rest */
const settleMs = 500

interface Parked {
  readonly socket: Socket
  /** when the first byte of the answer came, and its status line */
  readonly answered: Promise<{ readonly atMs: number; readonly line: string }>
}

function head(host: string, port: number, field: string): string {
  return `CONNECT ${host}:${port} HTTP/1.1\r\nHost: ${host}:${port}\r\nUser-Agent: bench/1\r\nProxy-Authorization: ${field}\r\n\r\n`
}

function park(proxyPort: number, bytes: string): Promise<Parked> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: proxyPort, noDelay: true })
    const { promise, resolve: answer } = Promise.withResolvers<{ readonly atMs: number; readonly line: string }>()
    socket.once('error', reject)
    socket.once('data', (chunk: Buffer) => {
      answer({ atMs: performance.now(), line: chunk.toString('latin1', 0, 40).split('\r\n', 1)[0] ?? '' })
      socket.destroy()
    })
    socket.once('connect', () => {
      socket.write(bytes)
      resolve({ socket, answered: promise })
    })
  })
}

class Load {
  readonly #job: LoadJob
  readonly #originPort: number
  readonly #ledger: Ledger
  readonly #agent = new Agent({ keepAlive: true, maxSockets: reviewersAtOnce })
  #calls = 0

  constructor(job: LoadJob, originPort: number) {
    this.#job = job
    this.#originPort = originPort
    this.#ledger = new Ledger(job.proxy.journalDir)
  }

  close(): void {
    this.#agent.destroy()
    this.#ledger.close()
  }

  async measure(): Promise<ParkedMeasured> {
    const { load, sessions, proxy } = this.#job
    const { all, extra } = { all: sessions.slice(0, load.sessions), extra: sessions.slice(load.sessions) }
    const first = await this.#parkAll(extra)
    await sleep(settleMs)
    const residentBefore = residentBytes(proxy.pid)
    const began = performance.now()
    const second = await this.#parkAll(all)
    const parkMs = performance.now() - began
    await sleep(settleMs)
    const residentAfter = residentBytes(proxy.pid)
    const left = first.length + second.length
    const leaveMs = await this.#leave([...first, ...second])
    const again = await this.#parkAll(all)
    await sleep(settleMs)
    const released = await this.#release(again, all)
    const latenciesMs = await this.#singles(all)
    return { parked: second.length, residentBefore, residentAfter, parkMs, left, leaveMs, ...released, latenciesMs }
  }

  /** Resolves when every one of them has its question in the journal. */
  async #parkAll(sessions: LoadJob['sessions']): Promise<readonly Parked[]> {
    const { load: { hosts, connections }, proxy: { port } } = this.#job
    const heads = sessions.flatMap(({ field }) => Array.from({ length: hosts * connections }, (_, place) => head(`h${place % hosts}.parked.test`, this.#originPort, field)))
    const before = this.#ledger.questions
    const parked: Parked[] = []
    const left = heads.values()
    await Promise.all(Array.from({ length: connectsAtOnce }, async () => {
      for (const bytes of left) parked.push(await park(port, bytes))
    }))
    await this.#ledger.until(() => this.#ledger.questions - before >= heads.length, 'a question')
    return parked
  }

  async #leave(parked: readonly Parked[]): Promise<number> {
    const before = this.#ledger.ended
    const began = performance.now()
    for (const { socket } of parked) socket.destroy()
    await this.#ledger.until(() => this.#ledger.ended - before >= parked.length, 'the end of all who left')
    return performance.now() - began
  }

  async #release(parked: readonly Parked[], sessions: LoadJob['sessions']): Promise<Pick<ParkedMeasured, 'questions' | 'releaseMs' | 'lastReleaseMs'>> {
    const { load: { hosts } } = this.#job
    const ids = sessions.flatMap(({ id }) => Array.from({ length: hosts }, (_, host) => this.#approvalOf(id, `h${host}.parked.test`)))
    const left = ids.values()
    const began = performance.now()
    await Promise.all(Array.from({ length: reviewersAtOnce }, async () => {
      for (const id of left) await this.#allow(id)
    }))
    const decided = performance.now()
    const answers = await Promise.all(parked.map(({ answered }) => answered))
    for (const { line } of answers) if (!line.startsWith('HTTP/1.1 200')) throw new Error(`a client was answered ${line}`)
    const last = Math.max(...answers.map(({ atMs }) => atMs))
    return { questions: ids.length, releaseMs: last - began, lastReleaseMs: Math.max(0, last - decided) }
  }

  async #singles(sessions: LoadJob['sessions']): Promise<number[]> {
    const latencies: number[] = []
    const host = 'single.parked.test'
    for (const { id, field } of sessions.slice(0, this.#job.singleHolds)) {
      const { answered } = await park(this.#job.proxy.port, head(host, this.#originPort, field))
      await this.#ledger.until(() => this.#ledger.approvals.has(`${id} ${host}`), 'a question')
      // the prompt is in the file before the client is held
      await sleep(5)
      const approval = this.#approvalOf(id, host)
      const began = performance.now()
      const [{ atMs, line }] = await Promise.all([answered, this.#allow(approval)])
      if (!line.startsWith('HTTP/1.1 200')) throw new Error(`a client was answered ${line}`)
      latencies.push(atMs - began)
    }
    return latencies
  }

  #approvalOf(session: string, host: string): string {
    const id = this.#ledger.approvals.get(`${session} ${host}`)
    if (id === undefined) throw new Error(`nobody asked for ${host}`)
    return id
  }

  #allow(id: string): Promise<void> {
    const token = this.#job.tokens[Math.floor(this.#calls++ / callsPerToken)]
    if (token === undefined) return Promise.reject(new Error('there are too few reviewers'))
    const body = '{"verdict":"allow"}'
    return new Promise((resolve, reject) => {
      const sent = request({
        socketPath: this.#job.proxy.socketPath, agent: this.#agent, method: 'POST', path: `/v1/approvals/${id}/decision`,
        headers: { host: 'localhost', authorization: `Bearer ${token}`, 'if-match': '"1"', 'content-type': 'application/json', 'content-length': body.length },
      }, (answer) => {
        answer.resume().once('end', () => (answer.statusCode === 200 ? resolve() : reject(new Error(`a decision was answered ${answer.statusCode}`))))
      })
      sent.once('error', reject)
      sent.end(body)
    })
  }
}

/** An origin that accepts and says nothing: released clients hear of it by the 200. */
function listen(): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.resume()
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', 4096, () => resolve({ server, port: addressOf(server).port })))
}

function addressOf(server: Server): AddressInfo {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port was free')
  return address
}

// first line out: the origin's port, which the proxy's policy has to name; first line in: the job
const { server, port } = await listen()
process.stdout.write(`${JSON.stringify({ port })}\n`)
for await (const line of createInterface({ input: process.stdin })) {
  const job: LoadJob = JSON.parse(line)
  const load = new Load(job, port)
  const measured = await load.measure()
  if (measured.parked !== parkedOf(job.load)) throw new Error('not all were parked')
  load.close()
  process.stdout.write(`${JSON.stringify(measured)}\n`)
  break
}
server.close()
process.stdin.destroy()
