// Content of our own: piece by piece, cut where it breaks off, and not held for ever by a client that does not read.
import t from 'tap'
import { Deadlines } from '../../src/deadlines.ts'
import type { ClientResponse } from '../../src/egress/client-leg.ts'
import { endWith, pour, type Outlet } from '../../src/ingress/content.ts'

const mib = 1_048_576

class Answer {
  destroyed = false
  closed = false
  isEnded = false
  readonly pieces: Uint8Array[] = []
  readonly #listeners = { close: new Set<() => void>(), drain: new Set<() => void>() }
  #onWrite: (() => void) | undefined

  get listening(): number {
    return this.#listeners.close.size + this.#listeners.drain.size
  }

  write(piece: Uint8Array): boolean {
    this.pieces.push(piece)
    this.#onWrite?.()
    return false
  }

  /** Resolves when it is written to. */
  written(): Promise<void> {
    return new Promise((resolve) => {
      this.#onWrite = resolve
    })
  }

  end(piece?: Uint8Array): void {
    if (piece !== undefined) this.pieces.push(piece)
    this.isEnded = true
  }

  destroy(): void {
    this.destroyed = true
    this.emit('close')
  }

  emit(event: 'close' | 'drain'): void {
    if (event === 'close') this.closed = true
    for (const listener of [...this.#listeners[event]]) listener()
  }

  on(event: 'close' | 'drain', listener: () => void): this {
    this.#listeners[event].add(listener)
    return this
  }

  off(event: 'close' | 'drain', listener: () => void): this {
    this.#listeners[event].delete(listener)
    return this
  }
}

interface Opened {
  readonly answer: Answer
  readonly outlet: Outlet
  readonly closed: Promise<void>
  pass(ms: number): void
}

function opened(): Opened {
  let ms = 0
  const deadlines = new Deadlines({ now: () => ms, monotonic: () => ms }, 1)
  const answer = new Answer()
  const closed = new Promise<void>((resolve) => answer.on('close', resolve))
  return { answer, closed, outlet: { response: answer as unknown as ClientResponse, deadlines, clientStallMs: 1_000 }, pass: (more) => void (ms += more) }
}

t.test('a client that reads gets all of it, one piece after another', async (t) => {
  const { answer, outlet, pass } = opened()
  const body = Buffer.alloc(2 * mib + 5, 'abc')
  let first = answer.written()
  const pouring = pour(outlet, body)
  await first
  for (let at = 1; at < 5; at++) {
    t.equal(answer.pieces.length, at)
    first = answer.written()
    pass(900)
    answer.emit('drain')
    await first
  }
  t.notOk(answer.isEnded)
  answer.emit('drain')
  t.equal(await pouring, body.length)
  t.ok(answer.isEnded)
  t.equal(Buffer.compare(Buffer.concat(answer.pieces), body), 0)
  answer.emit('close')
  t.notOk(answer.destroyed)
})

t.test('a client that does not read on is cut off', async (t) => {
  const { answer, outlet, closed, pass } = opened()
  const first = answer.written()
  const pouring = pour(outlet, Buffer.alloc(2 * mib))
  await first
  pass(1_001)
  await closed
  t.equal(await pouring, mib / 2)
  t.ok(answer.destroyed)
  t.notOk(answer.isEnded)
  t.equal(answer.listening, 1, 'nobody waits any more')
})

t.test('a client that does not read the last piece is cut off as well', async (t) => {
  for (const piece of [undefined, Buffer.from('hello')]) {
    const { answer, outlet, closed, pass } = opened()
    endWith(outlet, piece)
    t.ok(answer.isEnded)
    t.notOk(answer.destroyed)
    pass(1_001)
    await closed
    t.ok(answer.destroyed)
  }
})

t.test('a client that leaves is not written to any more', async (t) => {
  const { answer, outlet } = opened()
  const first = answer.written()
  const pouring = pour(outlet, Buffer.alloc(2 * mib))
  await first
  answer.destroy()
  t.equal(await pouring, mib / 2)
  t.notOk(answer.isEnded)
})

t.test('content that breaks off cuts the answer', async (t) => {
  const { answer, outlet, closed } = opened()
  const broken = (async function* () {
    yield Buffer.from('hello')
    await Promise.resolve()
    throw new Error('the disk is gone')
  })()
  const first = answer.written()
  const pouring = pour(outlet, broken)
  await first
  answer.emit('drain')
  await t.rejects(pouring, { message: 'the disk is gone' })
  await closed
  t.ok(answer.destroyed)
  t.notOk(answer.isEnded)
})
