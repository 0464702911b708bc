// Dates as HTTP writes them (RFC 9110 section 5.6.7), read strictly: what is not one of the three forms is no date. Pure.

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const imfFixdate = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT$/
const rfc850 = /^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (\d\d)-([A-Z][a-z]{2})-(\d\d) (\d\d):(\d\d):(\d\d) GMT$/
const asctime = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4})$/

/** `ms` since the epoch; undefined for what is no date. A year of two digits is at most 50 years ahead of `nowMs`. */
export function readHttpDate(text: string, nowMs: number): number | undefined {
  const imf = imfFixdate.exec(text)
  if (imf !== null) return instant(imf[3], imf[2], imf[1], imf[4], imf[5], imf[6])
  const old = rfc850.exec(text)
  if (old !== null) {
    const thisYear = new Date(nowMs).getUTCFullYear()
    const year = thisYear - (thisYear % 100) + Number(old[3])
    return instant(String(year > thisYear + 50 ? year - 100 : year), old[2], old[1], old[4], old[5], old[6])
  }
  const c = asctime.exec(text)
  return c === null ? undefined : instant(c[6], c[1], c[2], c[3], c[4], c[5])
}

/** IMF-fixdate, the form that is written. */
export function httpDate(ms: number): string {
  return new Date(ms).toUTCString()
}

function instant(year: string | undefined, month: string | undefined, day: string | undefined, hour: string | undefined, minute: string | undefined, second: string | undefined): number | undefined {
  const at = months.indexOf(month ?? '')
  const [y, d, h, m, s] = [Number(year), Number(day), Number(hour), Number(minute), Number(second)]
  // 60 is a leap second, which no clock of ours counts
  if (at === -1 || h > 23 || m > 59 || s > 60) return undefined
  const date = new Date(0)
  date.setUTCFullYear(y, at, d)
  if (date.getUTCMonth() !== at || date.getUTCDate() !== d) return undefined
  return date.setUTCHours(h, m, Math.min(s, 59))
}
