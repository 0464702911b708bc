// A secret that stands in the settings, in a file or in a variable: one of the three. No message repeats it.
import { readFileSync } from 'node:fs'
import type { Values } from './load.ts'

/** Names of the three settings that can hold one secret. */
export interface SecretSource {
  readonly inline: 'upstreamPassword' | 'webhookSecret' | 'cacheParentPassword'
  readonly file: 'upstreamPasswordFile' | 'webhookSecretFile' | 'cacheParentPasswordFile'
  readonly variable: 'upstreamPasswordEnv' | 'webhookSecretEnv' | 'cacheParentPasswordEnv'
}

/** Undefined when none is set or it cannot be found; the latter is a problem. `what` is its name in messages. */
export function readSecret(values: Values, { inline, file, variable }: SecretSource, what: string): string | undefined {
  const [source, other] = [inline, file, variable].filter((name) => values.get(name) !== undefined)
  if (other !== undefined) values.problem(other, `is one source of the ${what} too many`)
  if (source === undefined) return undefined
  if (source === inline) return values.get(inline)
  return source === variable ? fromVariable(values, variable) : fromFile(values, file)
}

function fromVariable(values: Values, setting: SecretSource['variable']): string | undefined {
  const name = values.get(setting) ?? ''
  const found = values.env[name]
  if (found === undefined || found === '') values.missingSecret(setting, `names the variable ${name}, which is not set`)
  return found
}

function fromFile(values: Values, setting: SecretSource['file']): string | undefined {
  try {
    const secret = readFileSync(values.get(setting) ?? '', 'utf8').split(/\r?\n/, 1)[0]
    if (secret === '') values.problem(setting, 'is empty')
    return secret
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    values.missingSecret(setting, `cannot be read: ${reason}`)
    return undefined
  }
}
