// A line as a syslog message: RFC 5424's header, and RFC 6587's count of octets before it, which RFC 5425 asks for. Pure.
import type { Severity } from './event.ts'
import type { JournalRecord } from './record.ts'

/** By their numbers, as rsyslog calls them. */
export const facilities = [
  'kern', 'user', 'mail', 'daemon', 'auth', 'syslog', 'lpr', 'news', 'uucp', 'cron', 'authpriv', 'ftp', 'ntp', 'audit', 'alert', 'clock',
  'local0', 'local1', 'local2', 'local3', 'local4', 'local5', 'local6', 'local7',
] as const
export type Facility = (typeof facilities)[number]

export interface SyslogHeader {
  readonly facility: Facility
  readonly appName: string
  readonly hostname: string
}

/** RFC 5424 section 6.2.1: informational, notice, warning, error */
const severities: Record<Severity, number> = { INFO: 6, INFO2: 5, WARN: 4, ERROR: 3 }

/** 32473 is the enterprise number that RFC 5612 keeps for those who have none */
const structuredDataId = 'sallyport@32473'

/** `line` is ASCII. PROCID is the id of the process's run: a change of it says that there was a restart. */
export function syslogFrame(record: JournalRecord, line: string, { facility, appName, hostname }: SyslogHeader): string {
  const priority = facilities.indexOf(facility) * 8 + severities[record.severity]
  const data = `[${structuredDataId} seq="${record.seq}" uid="${parameter(record.uid)}"]`
  const message = `<${priority}>1 ${record.time} ${word(hostname, 255)} ${word(appName, 48)} ${word(record.instance, 128)} ${word(record.name, 32)} ${data} ${line}`
  return `${Buffer.byteLength(message)} ${message}`
}

/** PRINTUSASCII, or the nil value. */
function word(text: string, maxLength: number): string {
  const kept = text.replaceAll(/[^\x21-\x7e]/g, '').slice(0, maxLength)
  return kept === '' ? '-' : kept
}

/** RFC 5424 section 6.3.3 */
function parameter(text: string): string {
  return text.replaceAll(/["\\\]]/g, '\\$&')
}
