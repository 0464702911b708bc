// Loaded before every test file (.taprc): compiled modules are kept in .tap/compile-cache, since a third of a test's time
// would go into compiling the same files anew. Children that inherit the environment share it from any folder.
import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('../../.tap/compile-cache', import.meta.url))
enableCompileCache(folder)
process.env.NODE_COMPILE_CACHE = folder
// tap's own hooks, which count the files that a process loads: children would run them too, and the proxies among them
// are started hundreds of times
delete process.env.NODE_OPTIONS
