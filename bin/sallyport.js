#!/usr/bin/env node
// The command's front door, in plain JavaScript so that any Node can read it: an old one is refused
// with one clear line instead of a syntax error. Everything else is in src/main.ts.
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const major = Number(process.versions.node.split('.')[0])
if (major < 26) {
  process.stderr.write(
    `sallyport needs Node 26 or newer and was started with ${process.version}: ` +
      'run it as `npm start` or `npx sallyport ...` in its own folder, which bring their own, or from elsewhere as\n' +
      `${fileURLToPath(new URL('../node_modules/.bin/node', import.meta.url))} ${fileURLToPath(new URL(import.meta.url))} ...\n`,
  )
  process.exit(1)
}
const source = new URL('../src/main.ts', import.meta.url)
const built = new URL('../dist/main.js', import.meta.url)
await import(existsSync(source) ? source.href : built.href)
