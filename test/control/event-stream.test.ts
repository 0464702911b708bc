// A stream of server-sent events against a reader that is slow, leaves, or may no longer read.
import t from 'tap'
import { EventStream, type StreamSink } from '../../src/control/event-stream.ts'
import { FakeClock } from './fakes.ts'

class FakeSink implements StreamSink {
  writableNeedDrain = false
  text = ''
  isEnded = false
  readonly #listeners: Record<'drain' | 'close', (() => void)[]> = { drain: [], close: [] }

  write(text: string): boolean {
    this.text += text
    return !this.writableNeedDrain
  }

  end(): void {
    this.isEnded = true
  }

  once(event: 'drain' | 'close', listener: () => void): void {
    this.#listeners[event].push(listener)
  }

  tell(event: 'drain' | 'close'): void {
    for (const listener of this.#listeners[event].splice(0)) listener()
  }
}

function open(heartbeatMs = 60_000) {
  const sink = new FakeSink()
  const clock = new FakeClock()
  const standing = { isAllowed: true }
  const stream = new EventStream(sink, { heartbeatMs, clock, isAllowed: () => standing.isAllowed })
  return { sink, clock, standing, stream }
}

t.test('an event is its number, its name and one line of JSON', async (t) => {
  const { sink, stream } = open()
  await stream.send({ id: 7, event: 'sallyport.decision', data: { body: 'a\nb' } })
  await stream.send({ event: 'approval', data: {} })
  t.equal(sink.text, 'retry: 2000\n\nid: 7\nevent: sallyport.decision\ndata: {"body":"a\\nb"}\n\nevent: approval\ndata: {}\n\n')
  stream.end()
  t.ok(sink.isEnded)
})

t.test('a slow reader is waited for', async (t) => {
  const { sink, stream } = open()
  sink.writableNeedDrain = true
  let isSent = false
  const sending = stream.send({ event: 'a', data: {} }).then(() => { isSent = true })
  await new Promise<void>((resolve) => { setImmediate(resolve) })
  t.notOk(isSent)
  sink.writableNeedDrain = false
  sink.tell('drain')
  await sending
  t.ok(isSent)
  stream.end()
})

t.test('a slow reader that leaves is waited for no longer, and is sent nothing more', async (t) => {
  const { sink, stream } = open()
  sink.writableNeedDrain = true
  const sending = stream.send({ event: 'a', data: {} })
  sink.tell('close')
  await sending
  t.ok(stream.signal.aborted)
  const before = sink.text
  await stream.send({ event: 'b', data: {} })
  t.equal(sink.text, before)
})

t.test('who may no longer read is told nothing more', async (t) => {
  const { sink, clock, standing, stream } = open()
  standing.isAllowed = false
  clock.move(1000)
  await stream.send({ event: 'secret', data: {} })
  t.notMatch(sink.text, 'secret')
  t.ok(sink.isEnded)
  t.ok(stream.signal.aborted)
})

t.test('a heartbeat goes to a reader that is not slow, and ends who may no longer read', async (t) => {
  const { sink, standing, stream } = open(1)
  const beats = () => sink.text.split(':\n\n').length - 1
  while (beats() < 2) await new Promise<void>((resolve) => { setTimeout(resolve, 1) })
  standing.isAllowed = false
  await new Promise<void>((resolve) => { stream.signal.addEventListener('abort', () => resolve()) })
  t.ok(sink.isEnded)
})
