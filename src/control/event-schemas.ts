// What may be asked about the journal over HTTP: the filters of `sallyport audit search`, by the same names.
import { globFields, wordFields } from '../audit/record-filter.ts'
import { verdicts } from '../policy/decision.ts'
import { describe, limit, object, oneOf, type Schema } from './schemas.ts'

const sequence: Schema = { type: 'string', pattern: '^(?:0|[1-9][0-9]{0,14})$' }
const text: Schema = { type: 'string', minLength: 1, maxLength: 256 }
const time: Schema = describe(
  { type: 'string', pattern: '^(?:[1-9][0-9]{0,6}[smhd]|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:[0-9]{2}))$' },
  'RFC 3339 with its zone, or how long ago: `15m`, `8h`, `7d`',
)
const says: Readonly<Record<(typeof globFields)[number] | (typeof wordFields)[number], string>> = {
  host: 'Glob: `*.example.com`; with a port behind it (`*:8443`) that too',
  agent: 'Glob: name of the agent',
  session: 'Glob: id of the session',
  owner: 'Glob: owner of the session',
  team: 'Glob: team of the session',
  rule: 'Glob: id of the rule',
  code: 'Glob: `dns_*`',
  event: 'Glob: name of the event, `sallyport.` left out or not',
  verdict: 'Of decisions',
  approval: 'Id of a question',
  request: 'Id of an exchange',
}

export const eventsQuery = object({}, {
  after: describe(sequence, 'Sequence number: records past it; `next_cursor` of the page before'),
  last: describe(limit, 'Instead of `after`: the newest so many'),
  limit: describe(limit, '1 to 500; default 100. Of `application/x-ndjson` all there are, without it'),
  ...Object.fromEntries(globFields.map((field) => [field, describe(text, says[field])])),
  ...Object.fromEntries(wordFields.map((field) => [field, describe(field === 'verdict' ? oneOf(verdicts) : text, says[field])])),
  since: time,
  until: time,
})
