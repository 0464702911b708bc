// What a child with an environment of its own needs so that it compiles no file that was compiled before: see
// compile-cache.js. Empty where a test file runs by itself.
const folder = process.env['NODE_COMPILE_CACHE']

export const keptModules: Readonly<Record<string, string>> = folder === undefined ? {} : { NODE_COMPILE_CACHE: folder }
