// The one door to the process environment. Everything else is handed what it needs from here, so a
// test can run two instances with two environments. It never changes the environment.

export type Environment = Readonly<Record<string, string | undefined>>

/** The environment of this process. */
export function processEnvironment(): Environment {
  return process.env
}

/** NO_COLOR (any value but the empty one) asks for plain text. */
export function wantsColour(env: Environment): boolean {
  return (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb'
}

/** Variable that holds the token of whoever runs a command against the control listener. */
export const tokenVariable = 'SALLYPORT_TOKEN'

/** The control token of this environment; undefined when there is none. Never to be shown. */
export function controlToken(env: Environment): string | undefined {
  const token = env[tokenVariable]
  return token === undefined || token === '' ? undefined : token
}

/** Node options that would undo what the proxy promises, and what each of them does. */
const dangerousOptions: readonly { readonly option: string; readonly harm: string }[] = [
  { option: '--tls-keylog', harm: 'writes the keys of every TLS connection to a file' },
  {
    option: '--insecure-http-parser',
    harm: 'accepts malformed HTTP that clients and origins read differently',
  },
]

/**
 * What in the environment makes it unsafe to run here, one sentence each with the remedy; empty when
 * nothing does. Any entry means: refuse to start.
 */
export function environmentDangers(env: Environment, execArgv: readonly string[]): string[] {
  const dangers: string[] = []
  if (env['NODE_TLS_REJECT_UNAUTHORIZED'] === '0') {
    dangers.push(
      'NODE_TLS_REJECT_UNAUTHORIZED=0 turns off the check of server certificates: unset it, ' +
        'and name a private CA with NODE_EXTRA_CA_CERTS instead',
    )
  }
  if ((env['SSLKEYLOGFILE'] ?? '') !== '') {
    dangers.push('SSLKEYLOGFILE asks for the keys of TLS connections in a file: unset it')
  }
  const fromOptions = splitNodeOptions(env['NODE_OPTIONS'] ?? '')
  for (const { option, harm } of dangerousOptions) {
    if (fromOptions.some((word) => isOption(word, option))) {
      dangers.push(`${option} in NODE_OPTIONS ${harm}: take it out`)
    }
    if (execArgv.some((word) => isOption(word, option))) {
      dangers.push(`node's option ${option} ${harm}: start without it`)
    }
  }
  return dangers
}

/** Node reads `--tls_keylog` as `--tls-keylog`. */
function isOption(word: string, option: string): boolean {
  const name = word.split('=', 1)[0] ?? ''
  return name.replaceAll('_', '-') === option
}

/** Words of NODE_OPTIONS as Node splits them: blanks, double quotes, backslash inside quotes. */
function splitNodeOptions(text: string): string[] {
  const words: string[] = []
  let word = ''
  let quoted = false
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at] ?? ''
    if (quoted && char === '\\' && at + 1 < text.length) {
      at += 1
      word += text[at] ?? ''
    } else if (char === '"') quoted = !quoted
    else if (char === ' ' && !quoted) {
      if (word !== '') words.push(word)
      word = ''
    } else word += char
  }
  if (word !== '') words.push(word)
  return words
}

export interface ProxyVariables {
  /** name and value of the variable that clients use for https, if any is set */
  readonly https: { readonly name: string; readonly value: string } | undefined
  readonly http: { readonly name: string; readonly value: string } | undefined
  readonly noProxy: { readonly name: string; readonly value: string } | undefined
  /** variables whose two spellings say different things */
  readonly disagreeing: readonly string[]
}

/** What clients started from here would take as their proxy. */
export function proxyVariables(env: Environment): ProxyVariables {
  const first = (names: readonly string[]) => {
    const name = names.find((candidate) => (env[candidate] ?? '') !== '')
    return name === undefined ? undefined : { name, value: env[name] ?? '' }
  }
  const disagreeing = ['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY'].filter((name) => {
    const lower = env[name.toLowerCase()]
    return lower !== undefined && env[name] !== undefined && lower !== env[name]
  })
  return {
    https: first(['https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY']),
    http: first(['http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY']),
    noProxy: first(['no_proxy', 'NO_PROXY']),
    disagreeing,
  }
}
