// Bodies under way inside TLS that ends at the proxy, in every pair of versions: nothing is held back that has come, no more
// is read than is taken, and what breaks off on one side does so on the other.
import { once } from 'node:events'
import type http from 'node:http'
import t from 'tap'
import { effort } from '../support/effort.ts'
import { breakOff, startStreams } from '../support/stream-world.ts'
import { versions } from '../support/stream-client.ts'

const mib = 1024 * 1024

/** Resolves with what `count` says once it has stood still for a while. */
async function settled(count: () => number): Promise<number> {
  for (let last = -1, still = 0; ; ) {
    const now = count()
    still = now === last ? still + 1 : 0
    if (still > 10 && now > 0) return now
    last = now
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Writes `total` bytes as fast as they are taken; `wrote` hears of each piece that was. */
function pour(response: NodeJS.WritableStream, total: number, wrote: (bytes: number) => void): void {
  const piece = Buffer.alloc(64 * 1024, 'sallyport')
  let left = total
  const more = (): void => {
    while (left > 0) {
      const bytes = Math.min(left, piece.length)
      left -= bytes
      const isTaken = response.write(piece.subarray(0, bytes), () => wrote(bytes))
      if (!isTaken) return
    }
    response.off('drain', more)
    response.end()
  }
  response.on('drain', more)
  more()
}

for (const client of versions) {
  for (const origin of versions) {
    const legs = `client ${client}, origin ${origin}`

    t.test(`${legs}: events arrive one by one, each before the next is sent`, async (t) => {
      let response: http.ServerResponse | undefined
      const { open } = await startStreams(t, origin, (_request, given) => {
        given.writeHead(200, { 'Content-Type': 'text/event-stream' })
        given.write('data: 0\n\n')
        response = given
      })
      const ask = await open(client)
      const { answer, reset } = ask({ path: '/events' })
      const { body, fields } = await answer
      t.equal(fields['content-type'], 'text/event-stream')
      for (let at = 0; at < 100; at++) {
        const [event] = await once(body, 'data')
        if (String(event) !== `data: ${at}\n\n`) t.fail(`${at}: ${String(event)}`)
        response?.write(`data: ${at + 1}\n\n`)
      }
      reset()
      t.pass('100 of them')
    })

    t.test(`${legs}: a head is there before any of its body`, async (t) => {
      const gate = Promise.withResolvers<void>()
      const { open } = await startStreams(t, origin, (_request, response) => {
        response.writeHead(200)
        response.flushHeaders()
        void gate.promise.then(() => response.end('late'))
      })
      const { answer } = (await open(client))({ path: '/slow' })
      const { status, body } = await answer
      t.equal(status, 200)
      gate.resolve()
      t.equal(String((await once(body, 'data'))[0]), 'late')
    })

    t.test(`${legs}: a reader that is slow holds the origin back, and still gets all`, async (t) => {
      const total = effort(32, 96) * mib
      let sent = 0
      const { open, ended } = await startStreams(t, origin, (_request, response) => pour(response, total, (bytes) => (sent += bytes)))
      const { answer } = (await open(client))({ path: '/large' })
      const { body } = await answer
      const unread = await settled(() => sent)
      t.ok(unread < total / 2, `${Math.round(unread / mib)} MiB of ${total / mib} were sent to nobody`)
      let got = 0
      body.on('data', (chunk: Buffer) => (got += chunk.length))
      await once(body, 'end')
      t.equal(got, total)
      t.match(await ended('/large'), { 'sallyport.outcome': 'completed', 'sallyport.bytes_from_origin': total })
    })

    t.test(`${legs}: an origin that is slow holds the client back, and still gets all`, async (t) => {
      const total = effort(32, 96) * mib
      const gate = Promise.withResolvers<void>()
      const { open, ended } = await startStreams(t, origin, (request, response) => {
        void gate.promise.then(() => {
          let got = 0
          request.on('data', (chunk: Buffer) => (got += chunk.length))
          request.on('end', () => response.end(String(got)))
        })
      })
      const { answer, body } = (await open(client))({ path: '/large', method: 'PUT' })
      let sent = 0
      pour(body, total, (bytes) => (sent += bytes))
      const unread = await settled(() => sent)
      t.ok(unread < total / 2, `${Math.round(unread / mib)} MiB of ${total / mib} were sent to nobody`)
      gate.resolve()
      const { body: said } = await answer
      t.equal(String((await once(said, 'data'))[0]), String(total))
      t.match(await ended('/large'), { 'sallyport.outcome': 'completed', 'sallyport.bytes_from_client': total })
    })

    t.test(`${legs}: trailers of an answer pass, those that frame or identify do not`, async (t) => {
      const { open } = await startStreams(t, origin, (_request, response) => {
        response.writeHead(200, { Trailer: 'X-Sum, Set-Cookie' })
        response.write('a body')
        response.addTrailers({ 'X-Sum': '17', 'Set-Cookie': 'a=b', 'Content-Type': 'text/html' })
        response.end()
      })
      const { answer } = (await open(client))({ path: '/', fields: { TE: 'trailers' } })
      const { body, trailers } = await answer
      body.resume()
      await once(body, 'end')
      t.match(trailers(), { 'x-sum': '17', 'set-cookie': undefined, 'content-type': undefined })
    })

    t.test(`${legs}: an answer that does not wait for the upload is heard at once`, async (t) => {
      const { open, ended } = await startStreams(t, origin, (request, response) => {
        request.once('data', () => {
          request.pause()
          response.writeHead(413, { 'Content-Type': 'text/plain' }).end('too much\n')
        })
      })
      const { answer, body } = (await open(client))({ path: '/upload', method: 'POST' })
      body.write(Buffer.alloc(100_000))
      const { status, body: said } = await answer
      t.equal(status, 413)
      t.equal(String((await once(said, 'data'))[0]), 'too much\n')
      body.destroy()
      t.match(await ended('/upload'), { 'http.response.status_code': 413 })
    })

    t.test(`${legs}: a client that leaves within an answer, or within its upload, breaks off the origin's side`, async (t) => {
      const left: string[] = []
      const started = Promise.withResolvers<void>()
      const { open, ended } = await startStreams(t, origin, (request, response) => {
        response.on('close', () => left.push(String(request.url)))
        if (request.method === 'GET') response.write('some of it')
        else request.once('data', () => started.resolve())
      })
      const down = (await open(client))({ path: '/down' })
      const { body } = await down.answer
      await once(body, 'data')
      down.reset()
      t.match(await ended('/down'), { 'sallyport.outcome': 'failed', 'sallyport.bytes_from_origin': 10 })
      const up = (await open(client))({ path: '/up', method: 'POST', fields: { 'Content-Length': '1000000' } })
      up.body.write(Buffer.alloc(5000))
      await started.promise
      up.reset()
      const { 'sallyport.outcome': outcome, 'sallyport.bytes_from_client': bytes } = await ended('/up')
      t.match({ outcome, bytes }, { outcome: 'failed', bytes: 5000 })
      while (left.length < 2) await new Promise((resolve) => setTimeout(resolve, 10))
      t.same(left, ['/down', '/up'])
    })

    t.test(`${legs}: an origin that breaks off within its answer, or before it, breaks off the client's side`, async (t) => {
      const { open, ended } = await startStreams(t, origin, (request, response) => {
        if (request.method === 'GET') response.write('some of it', () => setTimeout(() => breakOff(response), 50))
        else request.once('data', () => breakOff(response))
      })
      const down = (await open(client))({ path: '/down' })
      const { body } = await down.answer
      const isWhole = new Promise((resolve) => {
        body.once('end', () => resolve(true))
        body.once('error', () => resolve(false))
        body.once('aborted', () => resolve(false))
      })
      body.resume()
      await down.closed
      t.equal(await isWhole, false, 'nobody takes it for whole')
      t.match(await ended('/down'), { 'sallyport.outcome': 'failed', 'sallyport.code': 'origin_incomplete', 'sallyport.bytes_from_origin': 10 })
      const up = (await open(client))({ path: '/up', method: 'POST', fields: { 'Content-Length': '1000000' } })
      up.body.write(Buffer.alloc(5000))
      t.equal((await up.answer).status, 502)
      t.match(await ended('/up'), { 'sallyport.outcome': 'failed', 'sallyport.code': 'connection_reset' })
    })
  }
}
