// Which destinations the last process had, kept beside the journal, so that a change is on record and told to the old
// place before anything goes to the new one. No secret of the environment is in it: `${NAME}` stays as it was written.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isAbsent } from './absent.ts'
import type { DestinationChange } from './delivery-events.ts'
import { addressOf, describeDestination, type Destination } from './destination.ts'
import { replaceFile } from './export-cursor.ts'

export interface DestinationDifference {
  readonly name: string
  readonly change: DestinationChange
  readonly was: Destination | undefined
  readonly is: Destination | undefined
}

const fileName = 'export.destinations.json'

/** What was saved last; undefined when nothing was, or it cannot be read as that. */
export async function readDestinations(dir: string): Promise<readonly Destination[] | undefined> {
  let text: string
  try {
    text = await readFile(join(dir, fileName), 'utf8')
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || !('v' in value) || value.v !== 1 || !('destinations' in value)) return undefined
    return Array.isArray(value.destinations) && value.destinations.every(isDestination) ? value.destinations : undefined
  } catch {
    return undefined
  }
}

/** Replaces what was saved; resolves when it is on the disk. */
export async function writeDestinations(dir: string, destinations: readonly Destination[]): Promise<void> {
  const kept = destinations.map((destination) => (destination.type === 'otlp-http' ? { ...destination, headers: {} } : destination))
  await replaceFile(join(dir, fileName), `${JSON.stringify({ v: 1, destinations: kept })}\n`)
}

/** What changed, by name, in the order of the names as they were and then as they are. */
export function compareDestinations(before: readonly Destination[], now: readonly Destination[]): readonly DestinationDifference[] {
  const names = [...new Set([...before, ...now].map(({ name }) => name))]
  return names.flatMap((name) => {
    const was = before.find((each) => each.name === name)
    const is = now.find((each) => each.name === name)
    const change = changeOf(was, is)
    return change === undefined ? [] : [{ name, change, was, is }]
  })
}

function changeOf(was: Destination | undefined, is: Destination | undefined): DestinationChange | undefined {
  if (was === undefined) return 'added'
  if (is === undefined) return 'removed'
  if (was.type !== is.type || addressOf(was) !== addressOf(is)) return 'moved'
  return describeDestination(was) === describeDestination(is) ? undefined : 'filtered'
}

/** The file is the proxy's own; this tells a damaged one from a whole one. */
function isDestination(value: unknown): value is Destination {
  return typeof value === 'object' && value !== null && 'name' in value && 'type' in value && 'filter' in value && typeof value.filter === 'object' && value.filter !== null
}
