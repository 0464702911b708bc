// Writes docs/openapi.json as the routes say it: run it after a change of the control API.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { ControlContext } from '../../src/control/context.ts'
import { controlRoutes } from '../../src/control/control.ts'
import { openApiOf } from '../../src/control/openapi.ts'
import { World } from '../control/world.ts'

const dir = mkdtempSync(join(tmpdir(), 'sallyport-openapi-'))
const document = openApiOf(controlRoutes(new ControlContext(new World(dir).deps)))
writeFileSync(resolve(import.meta.dirname, '../../docs/openapi.json'), `${JSON.stringify(document, undefined, 2)}\n`)
rmSync(dir, { recursive: true })
