// How long a question may keep a client waiting. Pure. Some clients give a CONNECT up after five seconds, and
// then their user sees a broken proxy and no reason: those are answered before that.
import type { Hold } from './session.ts'

const shortMs = 4_000
const longMs = 20_000
// programs that were seen to wait for 20 s, by what they call themselves where they ask (docs/clients.md); not
// libraries, whose limit is set by the program around them
const patient = /^(?:curl|git|npm|Go-http-client|Wget)\//i

/** `ms`; 0: not at all. */
export function holdMs(hold: Hold, userAgent: string | undefined): number {
  if (hold !== 'auto') return hold
  return userAgent !== undefined && patient.test(userAgent) ? longMs : shortMs
}
