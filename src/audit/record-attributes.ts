// Attributes of a record by name and type. Pure. What is of another type is as good as absent.
import type { JournalRecord } from './record.ts'

type Attributed = Pick<JournalRecord, 'attributes'>

export function textAttribute({ attributes }: Attributed, name: string): string | undefined {
  const value = attributes[name]
  return typeof value === 'string' ? value : undefined
}

export function numberAttribute({ attributes }: Attributed, name: string): number | undefined {
  const value = attributes[name]
  return typeof value === 'number' ? value : undefined
}
