// The pages hold together: links lead somewhere, files and commands that they name exist, and the short ones stay short.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import t from 'tap'
import { commands } from '../../src/cli/run.ts'

const root = resolve(import.meta.dirname, '../..')
const read = (name: string): string => readFileSync(join(root, name), 'utf8')

const pages = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...['certs', 'docker', 'policies', 'docs', 'docs/decisions', 'docs/siem'].flatMap((folder) =>
    readdirSync(join(root, folder)).filter((name) => name.endsWith('.md')).map((name) => `${folder}/${name}`)),
]

const withoutCode = (text: string): string => text.replaceAll(/^```[\s\S]*?^```/gm, '').replaceAll(/`[^`\n]*`/g, '')

/** Headings as the anchors that a page viewer makes of them. */
function anchors(name: string): string[] {
  const headings = [...read(name).replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.*)$/gm)]
  return headings.map(([, heading = '']) => heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-'))
}

t.test('every relative link leads to a file, and to a heading in it', async (t) => {
  for (const page of pages) {
    for (const [, target = ''] of withoutCode(read(page)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue
      const [path = '', anchor] = target.split('#')
      const found = path === '' ? join(root, page) : resolve(root, dirname(page), path)
      t.ok(existsSync(found), `${page}: ${target}`)
      if (anchor !== undefined && found.endsWith('.md')) t.ok(anchors(relative(root, found)).includes(anchor), `${page}: ${target}`)
    }
  }
})

t.test('every file of the repository that a page names exists', async (t) => {
  for (const page of pages) {
    for (const [, name = ''] of read(page).matchAll(/`((?:src|test|docs|docker|bench|bin|\.ci)\/[\w./-]+)`/g)) {
      t.ok(existsSync(join(root, name)), `${page}: ${name}`)
    }
    if (page !== 'docs/architecture.md') continue
    for (const [, name = ''] of read(page).matchAll(/`((?:target|policy|audit|gate|egress|ingress|config|ops|cli)\/[\w-]+\.ts)`/g)) {
      t.ok(existsSync(join(root, 'src', name)), `${page}: ${name}`)
    }
  }
})

t.test('the table of rooms in the architecture is the table that is tested', async (t) => {
  const tested = new Map([...read('test/layers.test.ts').matchAll(/^ {2}(\w+): \[(.*)\],$/gm)].map(([, room = '', granted = '']) =>
    [room, granted.replaceAll("'", '')]))
  const shown = new Map([...read('docs/architecture.md').matchAll(/^\| `(\w+)\/` \| .* \| (.*) \|$/gm)].map(([, room = '', granted = '']) =>
    [room, granted === '–' ? '' : granted]))
  t.ok(shown.size > 5)
  t.same(Object.fromEntries(shown), Object.fromEntries(tested))
})

t.test('the README names every command, and none that does not exist', async (t) => {
  const table = [...read('README.md').matchAll(/^\| `([a-z]+)[^`]*` \|/gm)].map(([, name]) => name)
  t.same([...new Set(table)], commands.map(({ name }) => name))
})

t.test('what is short stays short', async (t) => {
  t.ok(read('README.md').split('\n').length < 180, 'README.md')
  t.ok(read('CONTRIBUTING.md').split('\n').length <= 80, 'CONTRIBUTING.md')
})

t.test('the policy that the README shows compiles', async (t) => {
  const { compilePolicy } = await import('../../src/policy/compile.ts')
  const blocks = [...read('README.md').matchAll(/^```toml\n([\s\S]*?)^```/gm)].map(([, text = '']) => text)
  t.ok(blocks.length > 0)
  for (const text of blocks) {
    const { policy, problems } = compilePolicy([{ path: 'README.md', text, layer: 'policy' }], new Map())
    t.same(problems, [])
    t.ok(policy)
  }
})
