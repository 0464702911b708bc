// Texts in tables of sallyport.toml that are read by hand and not by the schema. Pure.
import { typeName, type TomlTable } from '../policy/toml.ts'

/** A string that is not empty and holds no control character; undefined where there is none, or what `wrong` returns. */
export function filledText(table: TomlTable, key: string, wrong: (message: string) => undefined): string | undefined {
  const value = table[key]
  if (value === undefined || (typeof value === 'string' && value !== '' && !/\p{Cc}/u.test(value))) return value
  return wrong(`\`${key}\` has to be a string that is not empty${typeof value === 'string' ? '' : `, and this is ${typeName(value)}`}`)
}
