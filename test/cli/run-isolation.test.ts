// Where a machine cannot isolate, it says what to do; and nothing is done without.
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { findBubblewrap, forbiddenText, IsolationError, isVouchedFor } from '../../src/cli/run-isolation.ts'
import { put } from './run-world.ts'

const here = { platform: 'linux', architecture: 'x64', folders: [] }

t.test('other systems and machines are told what else there is', async (t) => {
  t.throws(() => findBubblewrap({}, { ...here, platform: 'darwin' }), { name: 'IsolationError', message: /is for Linux[^]*container/ })
  t.throws(() => findBubblewrap({}, { ...here, architecture: 'riscv64' }), { name: 'IsolationError', message: /is for x64 and arm64, not for riscv64/ })
})

t.test('without bubblewrap the package is named', async (t) => {
  t.throws(() => findBubblewrap({ PATH: t.testdir() }, here), { name: 'IsolationError', message: /install the package `bubblewrap`/ })
  t.throws(() => findBubblewrap({}, here), IsolationError)
})

t.test('a bubblewrap that fails is quoted, and never taken for one that works', async (t) => {
  const folder = t.testdir()
  const fake = put(join(folder, 'bwrap'), '#!/bin/sh\necho "bwrap: setting up uid map: Permission denied" >&2\nexit 1\n')
  chmodSync(fake, 0o755)
  t.throws(() => findBubblewrap({ PATH: folder }, here), { name: 'IsolationError', message: /may not make the namespaces[^]*setting up uid map: Permission denied/ })
  put(fake, '#!/bin/sh\nexit 0\n')
  t.equal(findBubblewrap({ PATH: `relative:${folder}` }, here), fake)
})

t.test('a bubblewrap that cannot be started is said to be one', async (t) => {
  const folder = t.testdir()
  put(join(folder, 'bwrap'), 'no program')
  t.throws(() => findBubblewrap({ PATH: folder }, here), { name: 'IsolationError', message: /bwrap cannot be started \(.*EACCES/ })
})

t.test('the switch of the kernel that forbids it is named', async (t) => {
  const with_ = (values: Readonly<Record<string, string>>): string => forbiddenText('no', (name) => values[name])
  t.match(with_({ 'kernel/apparmor_restrict_unprivileged_userns': '1' }), /AppArmor[^]*apparmor_restrict_unprivileged_userns=0/)
  t.match(with_({ 'kernel/unprivileged_userns_clone': '0' }), /unprivileged_userns_clone=1/)
  t.match(with_({ 'user/max_user_namespaces': '0' }), /max_user_namespaces=/)
  t.match(with_({ 'kernel/apparmor_restrict_unprivileged_userns': '0', 'user/max_user_namespaces': '9' }), /in a container[^]*docs\/run\.md/)
})

t.test('nobody vouches for a command that can write the proxy, its settings, or what a shell runs', async (t) => {
  // not in the folder of the project, whose program is what nobody vouches for
  const home = mkdtempSync(join(tmpdir(), 'sallyport-home-'))
  t.teardown(() => rmSync(home, { recursive: true }))
  const vouched = (folders: readonly string[], keepOut: readonly string[] = []): boolean => isVouchedFor({ mode: { kind: 'workspace', folders }, home, keepOut })
  t.equal(vouched([join(home, 'work')]), true)
  t.equal(vouched([join(home, 'work')], [join(home, 'work/policies')]), false, 'though there are none yet')
  t.equal(vouched([home]), false)
  t.equal(vouched([join(home, '.local')]), false)
  t.equal(vouched([join(import.meta.dirname, '../../src')]), false, 'the program that runs the proxy')
  t.equal(isVouchedFor({ mode: { kind: 'open' }, home, keepOut: [] }), false)
  t.equal(isVouchedFor({ mode: { kind: 'read' }, home, keepOut: [home] }), true)
})
