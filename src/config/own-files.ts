// The files and folders of this process that no agent may see or change: what it decides by, what it keeps, and what
// it proves itself with.
import { dirname } from 'node:path'
import { managedDefault } from './policy-read.ts'
import type { Settings } from './settings.ts'

/** Absolute paths, whether or not they exist; without repeats. */
export function ownFiles(settings: Settings): readonly string[] {
  const { dataDir, certsDir, policiesDir, requirementsFile, configFile, controlTls, secretFiles, credentials, upstreamProxy, dns } = settings
  const paths = [
    dataDir, certsDir, policiesDir, dirname(managedDefault), requirementsFile, configFile, controlTls?.certFile, controlTls?.keyFile, ...secretFiles,
    // one that is not the system's own decides where names lead, as a policy does where they may
    ...[dns.hosts, dns.resolvConf].filter((path) => dirname(path) !== '/etc'),
    ...credentials.map(({ source }) => (source.kind === 'file' ? source.path : undefined)), upstreamProxy?.caFile,
  ]
  return [...new Set(paths.filter((path) => path !== undefined))]
}
