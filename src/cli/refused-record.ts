// What a record of a refusal says to people: why, by which rule, and what can be done. Pure; all that comes out is safe
// to print.
import { escapeText } from '../audit/escape.ts'
import type { JournalRecord } from '../audit/record.ts'
import { errorTable } from '../errors.ts'
import { isErrorCode, nextStep } from './next-step.ts'
import { attributeText } from './record-line.ts'

/** The sentence that the client was given, and its code. */
export function whyText(record: JournalRecord): string {
  const monitored = attributeText(record, 'sallyport.monitored.verdict')
  if (monitored !== undefined) {
    return `it went through; enforce mode says ${monitored}: ${attributeText(record, 'sallyport.monitored.reason') ?? '-'} (${attributeText(record, 'sallyport.monitored.code') ?? '-'})`
  }
  return `${escapeText(reasonOf(record))} (${attributeText(record, 'sallyport.code') ?? '-'})`
}

/** The end of an exchange has a code alone, whose sentence is that of the refusal. */
export function reasonOf({ attributes, body }: JournalRecord): string {
  const { 'sallyport.reason': reason, 'sallyport.code': code } = attributes
  if (typeof reason === 'string') return reason
  return typeof code === 'string' && isErrorCode(code) ? errorTable[code].text : body
}

/** A rule as it may be printed. */
export interface ShownRule {
  readonly id: string
  readonly file: string
  readonly line: string
  readonly pattern: string | undefined
}

/** The rule that refused, or would have: in monitor mode another one may have let it through. */
export function ruleOf(record: JournalRecord): ShownRule | undefined {
  const text = (name: string): string | undefined => attributeText(record, name)
  const would = text('sallyport.monitored.rule.name')
  if (would !== undefined) {
    const pattern = text('security_rule.name') === would ? text('sallyport.rule.pattern') : undefined
    return { id: would, file: text('sallyport.monitored.rule.file') ?? '-', line: text('sallyport.monitored.rule.line') ?? '-', pattern }
  }
  const id = text('security_rule.name')
  if (id === undefined || text('sallyport.monitored.verdict') !== undefined) return undefined
  return { id, file: text('security_rule.ruleset.name') ?? '-', line: text('sallyport.rule.line') ?? '-', pattern: text('sallyport.rule.pattern') }
}

/** What to do about it, in one sentence. */
export function nextOf(record: JournalRecord): string {
  return nextStep(String(refusalCode(record)), { host: attributeText(record, 'server.address'), port: attributeText(record, 'server.port'), rule: ruleOf(record), approval: attributeText(record, 'sallyport.approval.id'), isPage: isAboutPage(record) })
}

/** The question that a miss of the web cache leads to; its record says so in words alone. */
function isAboutPage({ attributes }: JournalRecord): boolean {
  const reason = attributes['sallyport.reason']
  return typeof reason === 'string' && reason.startsWith('only cached content may be read from ')
}

function refusalCode({ attributes }: JournalRecord): unknown {
  return attributes['sallyport.monitored.code'] ?? attributes['sallyport.code']
}
