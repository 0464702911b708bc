// What the proxy itself connects to is closed to agents at every address that its name leads to.
import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { OwnPlaces } from '../../src/config/own-places.ts'
import { parseIp, type IpAddress } from '../../src/target/address.ts'

function ip(text: string): IpAddress {
  const address = parseIp(text)
  if (address === undefined) throw new Error(text)
  return address
}

const shown = (places: OwnPlaces): string[] => (places.surroundings().reserved ?? []).map(({ address, port }) => `${address.text}:${port}`).toSorted()

t.test('a name that does not resolve keeps what it led to, and keeps no other from being followed', async (t) => {
  const places = new OwnPlaces(systemClock)
  const answers = new Map([['a.example', '192.0.2.1'], ['b.example', '192.0.2.2']])
  const resolve = async (name: string) => {
    const answer = answers.get(name)
    if (answer === undefined) throw new Error(`no answer for ${name}`)
    return [ip(answer)]
  }
  const reserved = [{ host: 'a.example', port: 443 }, { host: 'b.example', port: 443 }, { host: '192.0.2.9', port: 80 }]
  await places.follow(reserved, resolve)
  t.same(shown(places), ['192.0.2.1:443', '192.0.2.2:443', '192.0.2.9:80'])
  answers.delete('a.example')
  answers.set('b.example', '192.0.2.7')
  await t.rejects(places.follow(reserved, resolve), /no answer for a\.example/)
  t.same(shown(places), ['192.0.2.1:443', '192.0.2.7:443', '192.0.2.9:80'])
})
