// What another user of this machine can open: a process of that user's tries, and says what it got. It needs the
// right to become another user.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'

export interface OtherUser {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

const name = 'nobody'

/** Another user, or why there is none here. */
export function findOtherUser(): { readonly user: OtherUser; readonly options: { readonly skip?: string } } {
  const entry = readFileSync('/etc/passwd', 'utf8').split('\n').map((line) => line.split(':')).find(([given]) => given === name)
  const user = { name, uid: Number(entry?.[2]), gid: Number(entry?.[3]) }
  if (process.getuid?.() !== 0) return { user, options: { skip: `only root can become ${name}` } }
  if (entry === undefined) return { user, options: { skip: `this machine has no user ${name}` } }
  const { status } = spawnSync(process.execPath, ['-e', ''], { uid: user.uid, gid: user.gid, cwd: '/', env: {} })
  return { user, options: status === 0 ? {} : { skip: `${name} may not run ${process.execPath}` } }
}

/** One thing to try: `read` a file, `list` or `enter` a folder, `write` a file, `connect` to a socket, or `send` bytes to a port. */
export interface Try {
  readonly what: 'read' | 'list' | 'write' | 'connect' | 'send'
  /** path, or port on 127.0.0.1 */
  readonly where: string | number
  readonly bytes?: string
}

// runs as the other user; all it has is its argument
const script = `
const fs = require('node:fs'), net = require('node:net')
if (process.getuid() !== Number(process.argv[1])) throw new Error('wrong user')
const socket = (to, bytes) => new Promise((resolve) => {
  let received = ''
  const s = net.connect(to, () => bytes === undefined ? (resolve('connected'), s.destroy()) : s.write(bytes))
  s.on('data', (chunk) => { received += chunk.toString('latin1'); if (received.includes('\\r\\n\\r\\n')) s.end() })
  s.on('error', (error) => resolve(error.code))
  s.on('close', () => resolve(received))
})
const tries = {
  read: (path) => { fs.readFileSync(path); return 'read' },
  list: (path) => { fs.readdirSync(path); return 'listed' },
  write: (path) => { fs.writeFileSync(path, 'x', { flag: 'a' }); return 'written' },
  connect: (path) => socket({ path }),
  send: (port, bytes) => socket({ host: '127.0.0.1', port }, bytes),
}
const run = async () => {
  const got = []
  for (const { what, where, bytes } of JSON.parse(process.argv[2])) {
    try { got.push(await tries[what](where, bytes)) } catch (error) { got.push(error.code) }
  }
  process.stdout.write(JSON.stringify(got))
}
run()
`

/** What the user got: the code of the error, what came back of what it sent, or a word for having done it. */
export async function asUser({ uid, gid }: OtherUser, tries: readonly Try[]): Promise<readonly string[]> {
  const child = spawn(process.execPath, ['-e', script, String(uid), JSON.stringify(tries)], { uid, gid, cwd: '/', env: {}, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  await once(child, 'close')
  if (errors !== '') throw new Error(errors)
  return JSON.parse(output) as readonly string[]
}
