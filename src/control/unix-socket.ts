// The socket for whoever runs the proxy. Its folder is theirs alone before the socket is born: whoever may open
// it is an admin. A socket that somebody answers on is never taken away.
import { chmodSync, lstatSync, mkdirSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname } from 'node:path'

/** `sun_path` of Linux holds 108 bytes with its end, that of macOS 104. */
const maxPathBytes = 103

/** Makes the folder (0700) and takes a dead process's socket away. Throws when the folder is not ours, when
 * something else has the name, or when a process answers there. */
export async function prepareSocket(path: string): Promise<void> {
  if (Buffer.byteLength(path) > maxPathBytes) throw new Error(`the path of the control socket \`${path}\` is longer than ${maxPathBytes} bytes: use a data folder with a shorter path`)
  const folder = dirname(path)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const { uid } = lstatSync(folder)
  const ownUid = process.getuid?.()
  if (ownUid !== undefined && uid !== ownUid) throw new Error(`the folder of the control socket, \`${folder}\`, belongs to another user (uid ${uid})`)
  chmodSync(folder, 0o700)
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) return
  if (!found.isSocket()) throw new Error(`\`${path}\` is no socket, so it is left alone: move it away`)
  if (await isAnswered(path)) throw new Error(`another process answers on the control socket \`${path}\``)
  unlinkSync(path)
}

/** Nobody but the user that runs the proxy. */
export function protectSocket(path: string): void {
  chmodSync(path, 0o600)
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false)
      else reject(error)
    })
  })
}
