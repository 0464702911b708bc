// Writes docs/schemas/events.json from docs/events.md and the builders: run it after a change of either.
import { mkdirSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { eventSchemas } from '../support/event-schemas.ts'

const folder = resolve(import.meta.dirname, '../../docs/schemas')
mkdirSync(folder, { recursive: true })
writeFileSync(resolve(folder, 'events.json'), `${JSON.stringify(eventSchemas(), undefined, 2)}\n`)
