// Reads the secret of a credential from where the settings say, when it is needed and not before, so that a rotated one
// is found. No value, no output of a program and nothing that a file holds ever stands in a message.
import { execFile } from 'node:child_process'
import { ProxyError } from '../errors.ts'
import type { Environment } from './environment.ts'
import { readRegularFile, whyNot } from './policy-read.ts'
import type { CredentialSettings, CredentialSource } from './settings.ts'

const commandLimitMs = 5_000
const maxBytes = 16 * 1024
/** bits of a file's mode by which others than its owner and group could use it */
const forOthers = 0o007

/**
 * The secret, trimmed, on one line. Throws ProxyError `credential_unavailable` when it cannot be had; the detail names
 * the credential and what is wrong, in words that are safe to log.
 */
export async function readCredential({ name, source }: Pick<CredentialSettings, 'name' | 'source'>, env: Environment): Promise<string> {
  const read = await readSource(source, env)
  if ('wrong' in read) throw unavailable(name, read.wrong)
  const secret = read.text.trim()
  if (secret === '') throw unavailable(name, `${whatOf(source)} holds nothing`)
  if (!/^[\x20-\x7e]+$/.test(secret)) throw unavailable(name, `${whatOf(source)} holds more than one line of visible ASCII, which no field can carry`)
  return secret
}

export function unavailable(name: string, why: string): ProxyError {
  return new ProxyError('credential_unavailable', `the credential \`${name}\`: ${why}`)
}

type Read = { readonly text: string } | { readonly wrong: string }

function readSource(source: CredentialSource, env: Environment): Promise<Read> | Read {
  switch (source.kind) {
    case 'env': {
      const text = env[source.variable]
      return text === undefined ? { wrong: `${whatOf(source)} is not set` } : { text }
    }
    case 'file':
      return readFile(source.path)
    case 'command':
      return run(source.command, whatOf(source), env)
    default:
      return readKeyring(source, env)
  }
}

function whatOf(source: CredentialSource): string {
  switch (source.kind) {
    case 'env':
      return `the variable ${source.variable}`
    case 'file':
      return `the file \`${source.path}\``
    case 'command':
      return `the command \`${source.command[0] ?? ''}\``
    default:
      return `the keyring entry of \`${source.service}\``
  }
}

async function readFile(path: string): Promise<Read> {
  try {
    const { bytes, mode } = await readRegularFile(path, maxBytes)
    if ((mode & forOthers) !== 0) return { wrong: `the file \`${path}\` can be read by others: \`chmod o= ${path}\`` }
    return { text: bytes.toString('latin1') }
  } catch (error) {
    return { wrong: `the file \`${path}\` cannot be read: ${whyNot(error)}` }
  }
}

function readKeyring({ service, account }: { readonly service: string; readonly account: string }, env: Environment): Promise<Read> | Read {
  const what = `the keyring entry of \`${service}\``
  if (process.platform === 'linux') return run(['secret-tool', 'lookup', 'service', service, 'account', account], what, env)
  if (process.platform === 'darwin') return run(['security', 'find-generic-password', '-w', '-s', service, '-a', account], what, env)
  return { wrong: 'there is a keyring for Linux and macOS alone: use `env`, `file` or `command`' }
}

/** What a program prints; what it complains of may hold anything, and is dropped. */
function run([program = '', ...args]: readonly string[], what: string, env: Environment): Promise<Read> {
  return new Promise((resolve) => {
    const options = { env, timeout: commandLimitMs, killSignal: 'SIGKILL', maxBuffer: maxBytes, encoding: 'latin1', windowsHide: true } as const
    const child = execFile(program, args, options, (error, stdout) => {
      resolve(error === null ? { text: stdout } : { wrong: `${what} could not be read: ${whyFailed(error, program)}` })
    })
    // who asks for a password there is not answered
    child.stdin?.end()
  })
}

function whyFailed(error: { readonly code?: string | number | null | undefined; readonly killed?: boolean | undefined }, program: string): string {
  if (error.code === 'ENOENT') return `there is no program \`${program}\``
  if (error.code === 'EACCES') return `\`${program}\` may not be run`
  if (error.code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') return `\`${program}\` printed more than ${maxBytes} bytes`
  if (error.killed === true) return `\`${program}\` took longer than ${commandLimitMs / 1000} s`
  return typeof error.code === 'number' ? `\`${program}\` ended with ${error.code}` : `\`${program}\` was stopped`
}
