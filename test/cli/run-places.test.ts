// What an isolated command sees, as a plan: the proxy's own places are in no view of it, however they are asked for.
import t from 'tap'
import { aliasesOf, isContained, isWithin, type Mount, nameOf, otherProcs, PlaceError, planMounts, readMounts, relativeSockets, secretsOf, socketPaths, startPlaces, type Wanted } from '../../src/cli/run-places.ts'
import * as fc from '../support/property.ts'

const nothing: Wanted = { mode: { kind: 'open' }, shown: [], keepOut: [], secrets: [], sockets: [], privates: ['/tmp', '/run'] }
const seen = (mounts: readonly Mount[], path: string): string => mounts.findLast((mount) => isWithin(path, mount.path))?.kind ?? 'none'
const lines = (mounts: readonly Mount[]): readonly string[] => mounts.map(({ kind, path }) => `${kind} ${path}`)

t.test('by default everything is as outside but what is the proxy\'s, what is secret, and what is shared', async (t) => {
  const mounts = planMounts({ ...nothing, shown: ['/home/ana/work', '/home/ana'], keepOut: ['/home/ana/work/var', '/home/ana/work/policies'], secrets: ['/home/ana/.ssh'], sockets: ['/var/lib/db.sock', '/run/x.sock'] })
  t.strictSame(lines(mounts), [
    'bind /', 'bind /home', 'private /run', 'private /tmp', 'bind /home/ana', 'hide /home/ana/.ssh', 'bind /home/ana/work', 'hide /var/lib/db.sock', 'hide /home/ana/work/policies', 'hide /home/ana/work/var',
  ])
})

t.test('a folder on the way to what is the proxy\'s is fixed where it could be moved, and only there', async (t) => {
  const keepOut = ['/srv/a/b/c/var']
  const workspace = planMounts({ ...nothing, mode: { kind: 'workspace', folders: ['/srv/a'] }, keepOut })
  t.strictSame(lines(workspace), ['read /', 'private /run', 'private /tmp', 'bind /srv/a', 'bind /srv/a/b', 'bind /srv/a/b/c', 'hide /srv/a/b/c/var'])
  t.strictSame(lines(planMounts({ ...nothing, mode: { kind: 'read' }, keepOut })), ['read /', 'private /run', 'private /tmp', 'hide /srv/a/b/c/var'])
})

t.test('what is the proxy\'s in what is the proxy\'s opens no way into it', async (t) => {
  const mounts = planMounts({ ...nothing, keepOut: ['/srv/p', '/srv/p/deep/certs', '/srv/p'] })
  t.strictSame(lines(mounts), ['bind /', 'private /run', 'bind /srv', 'private /tmp', 'hide /srv/p'])
})

t.test('the working folder, home and our program are there though their surroundings are private', async (t) => {
  const mounts = planMounts({ ...nothing, mode: { kind: 'workspace', folders: ['/tmp/w/sub'] }, shown: ['/tmp/w', '/tmp/w/sub/deep', '/run/home'] })
  t.strictSame(['/tmp/w', '/tmp/w/sub', '/tmp/w/sub/deep', '/run/home', '/tmp', '/tmp/other', '/srv'].map((path) => seen(mounts, path)), ['read', 'bind', 'bind', 'read', 'private', 'private', 'read'])
})

t.test('what is shown of what is secret is that alone', async (t) => {
  const mounts = planMounts({ ...nothing, secrets: ['/home/ana/.ssh', '/home/ana/.aws'], shown: ['/home/ana', '/home/ana/.ssh/known_hosts', '/home/ana/.aws'] })
  t.strictSame(['/home/ana/.ssh', '/home/ana/.ssh/id', '/home/ana/.ssh/known_hosts', '/home/ana/.aws/credentials'].map((path) => seen(mounts, path)), ['hide', 'hide', 'bind', 'bind'])
})

t.test('a wish for what is the proxy\'s is refused', async (t) => {
  const keepOut = ['/srv/var']
  for (const wanted of [{ shown: ['/srv/var'] }, { shown: ['/srv/var/run/s1'] }, { mode: { kind: 'workspace', folders: ['/srv/var/x'] } }] as const) t.throws(() => planMounts({ ...nothing, keepOut, ...wanted }), PlaceError)
  t.doesNotThrow(() => planMounts({ ...nothing, keepOut, shown: ['/srv/variety'] }))
})

const part = fc.constantFrom('a', 'b')
const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => `/${parts.join('/')}`)
const paths = fc.array(path, { maxLength: 4 })
const mode = fc.oneof(fc.constant({ kind: 'open' } as const), fc.constant({ kind: 'read' } as const), fc.record({ kind: fc.constant('workspace' as const), folders: fc.array(path, { minLength: 1, maxLength: 3 }) }))

t.test('nothing of the proxy\'s is seen, no way to it can be moved, and each mount has a place to be mounted on', async (t) => {
  await fc.assert(fc.asyncProperty(fc.record({ mode, shown: paths, keepOut: paths, secrets: paths, sockets: paths, privates: paths }), fc.array(part, { maxLength: 3 }), async (wanted, below) => {
    let mounts: readonly Mount[]
    try {
      mounts = planMounts(wanted)
    } catch (error) {
      if (error instanceof PlaceError) return
      throw error
    }
    for (const own of wanted.keepOut) {
      const kind = seen(mounts, [own, ...below].join('/'))
      t.ok(kind === 'hide' || kind === 'private', `${own} is ${kind}`)
      for (let at = own; at !== '/' && at !== ''; at = at.slice(0, at.lastIndexOf('/'))) {
        const above = at.slice(0, at.lastIndexOf('/')) || '/'
        // writable from outside in: what is in it must be a mount itself
        if (seen(mounts, at) === 'bind' && seen(mounts, above) === 'bind' && at !== own) t.ok(mounts.some((mount) => mount.path === at), `${at} is fixed`)
      }
    }
    for (const { path: at, kind } of mounts.slice(1)) {
      const around = mounts.findLast((mount) => mount.path !== at && isWithin(at, mount.path))
      // there is nothing to hide, and in a hidden folder nothing to mount it on
      if (kind === 'hide') t.ok(around?.kind === 'bind' || around?.kind === 'read', `${at} in ${around?.kind}`)
    }
    t.strictSame(mounts.map(({ path: at }) => at.split('/').length), mounts.map(({ path: at }) => at.split('/').length).toSorted((one, other) => one - other), 'outermost first')
    t.equal(new Set(mounts.map(({ path: at }) => at)).size, mounts.length)
  }), { numRuns: 1000 })
})

t.test('a command is contained when nothing that acts outside is in what it may write', async (t) => {
  const trusted = { home: '/home/ana', places: ['/srv/sallyport', '/home/ana/proj/var', ...startPlaces('/home/ana')] }
  const contains = (...folders: string[]): boolean => isContained({ kind: 'workspace', folders }, trusted)
  t.equal(isContained({ kind: 'read' }, trusted), true)
  t.equal(isContained({ kind: 'open' }, trusted), false, 'whoever may write a shell\'s profile runs as its user')
  t.equal(contains('/home/ana/other', '/data'), true)
  for (const folder of ['/', '/home', '/home/ana', '/home/ana/proj', '/home/ana/.config', '/home/ana/.local/bin', '/home/ana/.ssh', '/srv', '/srv/sallyport/src']) t.equal(contains('/data', folder), false, folder)
})

t.test('the same place by another mount is found', async (t) => {
  const mounts = readMounts([
    '22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw',
    '23 22 0:5 / /proc rw - proc proc rw',
    '30 22 8:2 / /home rw master:1 - ext4 /dev/sda2 rw',
    '31 22 8:2 /ana/work /srv/work\\040copy rw - ext4 /dev/sda2 rw',
    '32 22 8:1 /etc /mnt/etc rw - ext4 /dev/sda1 rw',
    '33 22 0:9 / /srv/root/proc rw - proc proc rw',
    'nonsense',
  ].join('\n'))
  t.strictSame(aliasesOf('/home/ana/work/var', mounts), ['/srv/work copy/var'])
  t.strictSame(aliasesOf('/srv/work copy/var', mounts), ['/home/ana/work/var'])
  t.strictSame(aliasesOf('/etc/sallyport', mounts), ['/mnt/etc/sallyport'])
  t.strictSame(aliasesOf('/home/ana', mounts), [], 'a mount of a part of it is none of it')
  t.strictSame(otherProcs(mounts), ['/srv/root/proc'])
})

t.test('sockets are those with a path, once', async (t) => {
  const table = `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 20001 /run/dbus/system bus
0000000000000000: 00000002 00000000 00010000 0001 01 20002 @/tmp/.X11-unix/X0
0000000000000000: 00000003 00000000 00000000 0001 03 20003
0000000000000000: 00000003 00000000 00000000 0001 03 20004 /run/dbus/system bus
0000000000000000: 00000002 00000000 00000000 0002 01 20005 /home/ana/log
0000000000000000: 00000002 00000000 00010000 0001 01 20006 relative.sock
`
  t.strictSame(relativeSockets(table), ['20006'])
  t.strictSame(socketPaths(table, new Map()), ['/run/dbus/system bus', '/home/ana/log'])
  t.strictSame(socketPaths(table, new Map([['20006', ['/srv/a', '/srv/b']]])), ['/run/dbus/system bus', '/home/ana/log', '/srv/a/relative.sock', '/srv/b/relative.sock'])
})

t.test('the usual places of credentials are known', async (t) => {
  const secrets = secretsOf('/home/ana')
  for (const name of ['.ssh', '.aws', '.config/gcloud', '.config/gh', '.netrc', '.docker', '.kube', '.gnupg', '.git-credentials', '.npmrc', '.pypirc']) t.ok(secrets.includes(`/home/ana/${name}`), name)
})

t.test('an agent is called as its program is', async (t) => {
  t.strictSame(['codex', '/usr/bin/claude', './my-agent.sh', 'agent.py', 'C.d'].map(nameOf), ['codex', 'claude', 'my-agent', 'agent', 'C.d'])
})
