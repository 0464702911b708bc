// Holds an event against the Open Cybersecurity Schema Framework as test/fixtures/ocsf has it: classes, attributes,
// types, requirements, enumerations and their captions, profiles and constraints. What the table does not know is a fault.
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'

type Attributes = Readonly<Record<string, string>>
type Captions = Readonly<Record<string, string>>
type Value = Readonly<Record<string, unknown>>

interface Shape {
  readonly attributes: Attributes
  /** of each list one has to be there */
  readonly at_least_one: readonly (readonly string[])[]
}

interface Class extends Shape {
  readonly uid: number
  readonly caption: string
  readonly category: { readonly uid: number; readonly caption: string }
  readonly activities: Captions
}

interface Type {
  readonly json: 'boolean' | 'string' | 'integer' | 'any'
  readonly pattern?: string
  readonly max_length?: number
  readonly range?: readonly [number, number]
  readonly is?: 'ip'
}

interface Schema {
  readonly version: string
  readonly profiles: readonly string[]
  readonly types: Readonly<Record<string, Type>>
  readonly enums: Readonly<Record<string, Captions>>
  readonly base: Attributes
  readonly classes: Readonly<Record<string, Class>>
  readonly objects: Readonly<Record<string, Shape>>
}

export const ocsfSchema = JSON.parse(readFileSync(join(import.meta.dirname, '../fixtures/ocsf/ocsf-1.9.0.json'), 'utf8')) as Schema

/** What is wrong with an event, by the path of the attribute; empty: nothing. */
export function ocsfFaults(event: Value): readonly string[] {
  const found = Object.values(ocsfSchema.classes).find(({ uid }) => uid === event.class_uid)
  if (found === undefined) return [`class_uid: ${String(event.class_uid)} is no class of the table`]
  const metadata = isObject(event.metadata) ? event.metadata : {}
  const profiles = Array.isArray(metadata.profiles) ? metadata.profiles.map(String) : []
  return [
    ...profiles.filter((profile) => !ocsfSchema.profiles.includes(profile)).map((profile) => `metadata.profiles: ${profile} is no profile`),
    ...(metadata.version === ocsfSchema.version ? [] : [`metadata.version: ${String(metadata.version)} is not ${ocsfSchema.version}`]),
    ...classFaults(event, found),
    ...shapeFaults(event, { attributes: { ...ocsfSchema.base, ...found.attributes }, at_least_one: found.at_least_one }, '', '', profiles),
  ]
}

function classFaults(event: Value, { uid, caption, category, activities }: Class): readonly string[] {
  const activity = Number(event.activity_id)
  const isOther = activity === 99
  const faults: string[] = []
  const expect = (name: string, expected: unknown): void => {
    if (event[name] !== expected) faults.push(`${name}: ${JSON.stringify(event[name])} is not ${JSON.stringify(expected)}`)
  }
  if (!Object.hasOwn(activities, String(event.activity_id))) faults.push(`activity_id: ${String(event.activity_id)} is no activity of ${caption}`)
  expect('class_name', caption)
  expect('category_uid', category.uid)
  expect('category_name', category.caption)
  expect('type_uid', uid * 100 + activity)
  expect('type_name', `${caption}: ${activities[activity]}`)
  if (!isOther) expect('activity_name', activities[activity])
  else if (typeof event.activity_name !== 'string' || event.activity_name === '') faults.push('activity_name: Other wants a name')
  return faults
}

function shapeFaults(value: Value, { attributes, at_least_one }: Shape, path: string, object: string, profiles: readonly string[]): readonly string[] {
  const faults: string[] = []
  for (const [name, spec] of Object.entries(attributes)) {
    const [, requirement, profile = '-'] = spec.split(' ')
    if (requirement === 'required' && value[name] === undefined && (profile === '-' || profiles.includes(profile))) faults.push(`${path}${name}: is required`)
  }
  for (const names of at_least_one) {
    if (!names.some((name) => value[name] !== undefined)) faults.push(`${path}: one of ${names.join(', ')} is required`)
  }
  for (const [name, member] of Object.entries(value)) {
    const spec = Object.hasOwn(attributes, name) ? attributes[name] : undefined
    if (spec === undefined) faults.push(`${path}${name}: is no attribute of ${object === '' ? 'the class' : object}`)
    else faults.push(...memberFaults(value, name, member, spec, path, object, profiles))
  }
  return faults
}

function memberFaults(value: Value, name: string, member: unknown, spec: string, path: string, object: string, profiles: readonly string[]): readonly string[] {
  const [type = '', , profile = '-', deprecated] = spec.split(' ')
  const faults: string[] = []
  if (deprecated !== undefined) faults.push(`${path}${name}: is deprecated`)
  if (profile !== '-' && !profiles.includes(profile)) faults.push(`${path}${name}: is of the profile ${profile}, which metadata.profiles does not name`)
  const isList = type.endsWith('[]')
  const items = isList && Array.isArray(member) ? (member as unknown[]) : [member]
  if (isList && !Array.isArray(member)) faults.push(`${path}${name}: is no list`)
  for (const item of items) faults.push(...itemFaults(item, isList ? type.slice(0, -2) : type, `${path}${name}`, profiles))
  return [...faults, ...captionFaults(value, name, path, object)]
}

/** An attribute `x_id` has the caption of its value in `x`. */
function captionFaults(value: Value, name: string, path: string, object: string): readonly string[] {
  if (!name.endsWith('_id') || (path === '' && name === 'activity_id')) return []
  const captions = ocsfSchema.enums[path === '' ? name : `${object}.${name}`]
  if (captions === undefined) return [`${path}${name}: its values are not in the table`]
  const id = String(value[name])
  if (!Object.hasOwn(captions, id)) return [`${path}${name}: ${id} is no value of it`]
  const said = value[name.slice(0, -3)]
  if (id === '99') return typeof said === 'string' && said !== '' ? [] : [`${path}${name}: Other wants a name`]
  return said === undefined || said === captions[id] ? [] : [`${path}${name}: ${id} is ${captions[id]} and not ${JSON.stringify(said)}`]
}

function itemFaults(item: unknown, type: string, path: string, profiles: readonly string[]): readonly string[] {
  if (type.startsWith('@')) {
    const shape = ocsfSchema.objects[type.slice(1)]
    if (shape === undefined) return [`${path}: the object ${type.slice(1)} is not in the table`]
    return isObject(item) ? shapeFaults(item, shape, `${path}.`, type.slice(1), profiles) : [`${path}: is no object`]
  }
  const known = ocsfSchema.types[type]
  if (known === undefined) return [`${path}: the type ${type} is not in the table`]
  return isOfType(item, known) ? [] : [`${path}: ${JSON.stringify(item)} is no ${type}`]
}

function isOfType(item: unknown, { json, pattern, max_length, range, is }: Type): boolean {
  if (json === 'any') return true
  if (json === 'boolean') return typeof item === 'boolean'
  if (json === 'integer') return typeof item === 'number' && Number.isSafeInteger(item) && (range === undefined || (item >= range[0] && item <= range[1]))
  if (typeof item !== 'string' || (max_length !== undefined && item.length > max_length)) return false
  return (pattern === undefined || new RegExp(pattern, 'u').test(item)) && (is === undefined || isIP(item) !== 0)
}

function isObject(value: unknown): value is Value {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
