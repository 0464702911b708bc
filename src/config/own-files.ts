// The files and folders of this process that no agent may see or change: what it decides by, what it keeps, and what
// it proves itself with.
import { dirname, isAbsolute } from 'node:path'
import { managedDefault } from './policy-read.ts'
import { destinationsOf } from './destinations.ts'
import type { Destination } from '../audit/destination.ts'
import type { CredentialSource, Settings } from './settings.ts'

/** Absolute paths, whether or not they exist; without repeats. */
export function ownFiles(settings: Settings): readonly string[] {
  const { dataDir, certsDir, policiesDir, requirementsFile, configFile, controlTls, secretFiles, credentials, originTls, upstreamProxy, cache, dns } = settings
  const paths = [
    dataDir, certsDir, policiesDir, dirname(managedDefault), requirementsFile, configFile, controlTls?.certFile, controlTls?.keyFile, ...secretFiles,
    // one that is not the system's own decides where names lead, as a policy does where they may
    ...[dns.hosts, dns.resolvConf].filter((path) => dirname(path) !== '/etc'),
    ...credentials.flatMap(({ source }) => filesOf(source)), upstreamProxy?.caFile, cache.parent?.caFile,
    ...originTls.crlFiles, originTls.crlDir,
    ...destinationsOf(settings).flatMap(filesOfDestination),
  ]
  return [...new Set(paths.filter((path) => path !== undefined))]
}

function filesOfDestination(destination: Destination): readonly (string | undefined)[] {
  if (destination.type === 'file') return [destination.path]
  const { tls } = destination
  return [tls.caFile, tls.certFile, tls.keyFile]
}

/** Programs of the system are for everybody, and only root changes them. */
const systemFolders = /^\/(?:usr|bin|sbin|lib|lib64|opt|nix|snap)\//

/** What a secret is read from. Of a command: its program and what it is handed, where those are named by their whole path. */
function filesOf(source: CredentialSource): readonly string[] {
  if (source.kind === 'file') return [source.path]
  return source.kind === 'command' ? source.command.filter((word) => isAbsolute(word) && !systemFolders.test(word)) : []
}
