// The web cache's settings: its own store, and the parent cache that may stand behind it. The parent is named in process
// settings and nowhere else, for every URL that is asked for goes there. No message repeats a password.
import { decode, isClear } from './load-rules.ts'
import { readSecret } from './load-secret.ts'
import type { Values } from './load.ts'
import type { CacheSettings, ParentCacheSettings } from './settings.ts'

const secretSource = { inline: 'cacheParentPassword', file: 'cacheParentPasswordFile', variable: 'cacheParentPasswordEnv' } as const
const parts = ['cacheParentUsername', 'cacheParentCaFile', ...Object.values(secretSource)] as const

export function readCache(values: Values): CacheSettings {
  const enabled = values.get('cacheEnabled')
  const parent = readParent(values)
  if (!enabled && parent !== undefined) values.problem('cacheParentUrl', 'is of no use: `cache.enabled` is false')
  return { enabled, maxBytes: values.get('cacheMaxBytes'), maxBodyBytes: values.get('cacheMaxBody'), fetchTimeoutMs: values.get('cacheFetchTimeout'), parent }
}

function readParent(values: Values): ParentCacheSettings | undefined {
  const written = values.get('cacheParentUrl')
  if (written === undefined) {
    for (const name of parts) {
      if (values.get(name) !== undefined) values.problem(name, 'is set without `cache.parent.url`')
    }
    return undefined
  }
  const url = new URL(written)
  if ((url.pathname !== '/' && url.pathname !== '') || url.search !== '') values.problem('cacheParentUrl', 'may hold scheme, host and port only')
  const username = values.get('cacheParentUsername') ?? (decode(url.username) || undefined)
  const password = readSecret(values, secretSource, 'password') ?? (decode(url.password) || undefined)
  const caFile = values.get('cacheParentCaFile')
  if (username === undefined && password !== undefined) values.problem('cacheParentUsername', 'is missing: there is a password')
  if (username?.includes(':') === true) values.problem('cacheParentUsername', 'may not contain a colon')
  if (caFile !== undefined && url.protocol !== 'https:') values.problem('cacheParentCaFile', 'is of no use: the parent cache is not https')
  if (password !== undefined && isClear(url.origin)) values.warnings.push('cache: the password for the parent cache is sent in clear text to a host that is not this one')
  return {
    url: url.origin,
    timeoutMs: values.get('cacheParentTimeout'),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(caFile === undefined ? {} : { caFile }),
  }
}
