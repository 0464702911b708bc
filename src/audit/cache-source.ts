// How something came into the web cache, in the words of events, of the store and of the commands. Data only.

export type CacheSource = 'fetched' | 'added' | 'warmed' | 'imported' | 'recorded' | 'live'
export const cacheSources: readonly CacheSource[] = ['fetched', 'added', 'warmed', 'imported', 'recorded', 'live']
