// HTTP-date, its three forms and no other (RFC 9110 section 5.6.7). Pure. Date.parse takes far more, local time among it.

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const day = '(?:mon|tue|wed|thu|fri|sat|sun)'
const longDay = '(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)'
const time = '(\\d{2}):(\\d{2}):(\\d{2})'
// caches are to overlook case (RFC 9111 section 4.2)
const fixdate = new RegExp(`^${day}, (\\d{2}) ([a-z]{3}) (\\d{4}) ${time} gmt$`, 'i')
const rfc850 = new RegExp(`^${longDay}, (\\d{2})-([a-z]{3})-(\\d{2}) ${time} gmt$`, 'i')
const asctime = new RegExp(`^${day} ([a-z]{3}) ([ \\d]\\d) ${time} (\\d{4})$`, 'i')

/** Wall clock, `ms`; undefined for what is no HTTP-date. `nowMs` tells the century of a year of two digits. */
export function parseHttpDate(text: string, nowMs: number): number | undefined {
  const fixed = fixdate.exec(text)
  if (fixed !== null) return at(Number(fixed[3]), fixed[2], fixed[1], fixed.slice(4))
  const old = rfc850.exec(text)
  if (old !== null) return at(yearOf(Number(old[3]), nowMs), old[2], old[1], old.slice(4))
  const plain = asctime.exec(text)
  if (plain !== null) return at(Number(plain[6]), plain[1], plain[2], plain.slice(3, 6))
  return undefined
}

/** More than 50 years ahead is the past (RFC 9110 section 5.6.7). */
function yearOf(twoDigits: number, nowMs: number): number {
  const thisYear = new Date(nowMs).getUTCFullYear()
  const year = thisYear - (thisYear % 100) + twoDigits
  return year > thisYear + 50 ? year - 100 : year
}

function at(year: number, monthName: string | undefined, dayOfMonth: string | undefined, [hours, minutes, seconds]: readonly string[]): number | undefined {
  const month = months.indexOf(monthName?.toLowerCase() ?? '')
  const date = Number(dayOfMonth)
  if (month === -1 || Number(hours) > 23 || Number(minutes) > 59 || Number(seconds) > 60) return undefined
  const ms = Date.UTC(year, month, date, Number(hours), Number(minutes), Number(seconds))
  return new Date(ms).getUTCDate() === date || Number(seconds) === 60 ? ms : undefined
}
