// `[credentials.NAME]` of sallyport.toml: where a secret comes from and the hosts it may be sent to. It stands in process
// settings and nowhere else: whoever writes policies decides which requests carry a credential, never where it goes.
// Nothing is read here, and no message repeats what could be a secret.
import { resolve } from 'node:path'
import { ProxyError } from '../errors.ts'
import type { KnownCredential } from '../policy/credential-rules.ts'
import type { Path } from '../policy/positions.ts'
import { suggestion } from '../policy/suggestion.ts'
import { isTable, typeName, type TomlTable, type TomlValue } from '../policy/toml.ts'
import { formatAuthority, parseAuthority } from '../target/authority.ts'
import type { CredentialSettings, CredentialSource } from './settings.ts'
import { filledText } from './table-text.ts'

/** Keys of a credential, what each takes, and what it does; docs/configuration.md is held to it. */
export const credentialKeys: readonly { readonly key: string; readonly takes: string; readonly doc: string }[] = [
  { key: 'env', takes: 'name of a variable', doc: 'the secret is the value of this variable of the process' },
  { key: 'file', takes: 'path', doc: 'the secret is what this file holds, on one line; others may not be able to read the file' },
  { key: 'command', takes: 'list of words', doc: 'the secret is what this program prints, on one line, within 5 s; no shell is asked' },
  { key: 'keyring', takes: '`service`, `account`', doc: 'the secret is in the keyring: asked for with `secret-tool` on Linux and `security` on macOS' },
  { key: 'hosts', takes: 'list of HOST or HOST:PORT', doc: 'where it may be sent, each an exact host, on port 443 unless one is written' },
  { key: 'dummy', takes: 'string', doc: 'what agents hold instead of it; without it one of the same shape is made when it is first asked for' },
  { key: 'any_layer', takes: 'true or false', doc: 'rules below a managed allow list may send it, too' },
]
const sources = ['env', 'file', 'command', 'keyring'] as const
const keys: readonly string[] = credentialKeys.map(({ key }) => key)

/** Where a message belongs: the path of a value within the file. */
export type Report = (path: Path, message: string) => void

/** Reads the table `credentials`; what is wrong is reported, and the credential left out. */
export function readCredentials(value: TomlValue, folder: string, report: Report): readonly CredentialSettings[] {
  if (!isTable(value)) {
    report(['credentials'], '`credentials` holds a table for each credential: `[credentials.NAME]`')
    return []
  }
  return Object.entries(value).flatMap(([name, table]) => {
    const at = ['credentials', name]
    if (!/^[a-z\d][\w.-]{0,63}$/i.test(name)) report(at, `\`${name}\` is no name for a credential: letters, digits, \`_\`, \`.\` and \`-\``)
    if (isTable(table)) return new CredentialReader(name, table, folder, report).read()
    report(at, `\`credentials.${name}\` has to be a table, and this is ${typeName(table)}`)
    return []
  })
}

/** What policy is told of the credentials: no source, no secret. */
export function knownCredentials(credentials: readonly CredentialSettings[]): readonly KnownCredential[] {
  return credentials.map(({ name, hosts, anyLayer }) => ({ name, hosts, anyLayer }))
}

class CredentialReader {
  readonly #name: string
  readonly #table: TomlTable
  readonly #folder: string
  readonly #report: Report
  #isWrong = false

  constructor(name: string, table: TomlTable, folder: string, report: Report) {
    this.#name = name
    this.#table = table
    this.#folder = folder
    this.#report = report
  }

  read(): readonly CredentialSettings[] {
    for (const key of Object.keys(this.#table)) {
      if (!keys.includes(key)) this.#wrong(key, `there is no setting \`${key}\` of a credential${suggestion(key, keys)}`)
    }
    const source = this.#source()
    const hosts = this.#hosts()
    const dummy = this.#dummy()
    const anyLayer = this.#table['any_layer'] ?? false
    if (typeof anyLayer !== 'boolean') this.#wrong('any_layer', `\`any_layer\` has to be true or false, and this is ${typeName(anyLayer)}`)
    if (this.#isWrong || source === undefined || typeof anyLayer !== 'boolean') return []
    return [{ name: this.#name, source, hosts, dummy, anyLayer }]
  }

  #source(): CredentialSource | undefined {
    const written = sources.filter((key) => key in this.#table)
    const [kind, other] = written
    if (kind === undefined) return this.#wrong('', `\`[credentials.${this.#name}]\` says nowhere where the secret is: \`env\`, \`file\`, \`command\` or \`keyring\``)
    if (other !== undefined) return this.#wrong(other, `\`${other}\` beside \`${kind}\`: a secret has one source`)
    switch (kind) {
      case 'env': {
        const variable = this.#text('env')
        if (variable === undefined || /^[A-Za-z_]\w*$/.test(variable)) return variable === undefined ? undefined : { kind, variable }
        return this.#wrong('env', '`env` takes the name of a variable')
      }
      case 'file': {
        const path = this.#text('file')
        return path === undefined ? undefined : { kind, path: resolve(this.#folder, path) }
      }
      case 'command':
        return this.#command()
      default:
        return this.#keyring()
    }
  }

  #command(): CredentialSource | undefined {
    const words = this.#strings('command')
    const [program] = words ?? []
    if (words === undefined || program === undefined || program === '') return words === undefined ? undefined : this.#wrong('command', '`command` takes a program and its arguments: `["pass", "show", "github"]`')
    return { kind: 'command', command: words }
  }

  #keyring(): CredentialSource | undefined {
    const value = this.#table['keyring']
    const { service, account, ...rest } = isTable(value) ? value : {}
    if (typeof service === 'string' && service !== '' && typeof account === 'string' && account !== '' && Object.keys(rest).length === 0) {
      return { kind: 'keyring', service, account }
    }
    return this.#wrong('keyring', '`keyring` takes a service and an account: `{ service = "github", account = "ci" }`')
  }

  #hosts(): readonly string[] {
    if (!('hosts' in this.#table)) this.#wrong('', `\`[credentials.${this.#name}]\` without \`hosts\`: a credential is sent to hosts that are named, and to no other`)
    const hosts = this.#strings('hosts')
    if (hosts?.length === 0) this.#wrong('hosts', '`hosts` is empty, so it could be sent nowhere')
    return (hosts ?? []).flatMap((text, i) => {
      try {
        const authority = parseAuthority(text, 443)
        if (authority.port !== 80) return [formatAuthority(authority)]
        this.#wrong('hosts', `\`${text}\`: a credential is sent over https alone, and port 80 is plain http`, i)
      } catch (error) {
        if (!(error instanceof ProxyError)) throw error
        this.#wrong('hosts', `\`${text}\` is not one exact host, or host:port: ${error.detail}`, i)
      }
      return []
    })
  }

  #dummy(): string | undefined {
    const dummy = this.#text('dummy')
    if (dummy === undefined || /^[\x21-\x7e]{8,4096}$/.test(dummy)) return dummy
    return this.#wrong('dummy', '`dummy` has 8 characters or more, of visible ASCII without spaces')
  }

  #text(key: string): string | undefined {
    return filledText(this.#table, key, (message) => this.#wrong(key, message))
  }

  #strings(key: string): readonly string[] | undefined {
    const value = this.#table[key]
    if (value === undefined) return undefined
    const strings = Array.isArray(value) ? value.filter((each: TomlValue) => typeof each === 'string') : []
    if (Array.isArray(value) && strings.length === value.length && !strings.some((each) => each.includes('\0'))) return strings
    return this.#wrong(key, `\`${key}\` has to be an array of strings`)
  }

  #wrong(key: string, message: string, element?: number): undefined {
    this.#isWrong = true
    const at = ['credentials', this.#name, ...(key === '' ? [] : [key])]
    this.#report(element === undefined ? at : [...at, element], message)
    return undefined
  }
}
