// Can the revocation lists be read, and are they up to date? Read as the proxy reads them; whether their authorities have
// signed them is seen only with a certificate of each.
import type { Clock } from '../clock.ts'
import type { Settings } from '../config/settings.ts'
import { RevocationLists } from '../egress/revocation-lists.ts'
import type { Finding } from './doctor-finding.ts'
import { plural } from './plural.ts'

/** None where there are to be none. */
export async function revocationFindings({ originTls }: Settings, clock: Clock): Promise<Finding[]> {
  const warnings: string[] = []
  const lists = new RevocationLists({ ...originTls, clock, onWarning: (path, message) => warnings.push(`\`${path}\`: ${message}`), onChange: () => {} })
  try {
    await lists.open()
    const health = lists.health()
    if (health === undefined) return []
    if (warnings.length > 0) return named({ status: 'warn', detail: warnings.join('; '), remedy: 'fetch the lists from their authorities, and keep fetching them' })
    return named({ status: 'ok', detail: `${plural(health.lists, 'list')} with ${plural(health.named, 'certificate')}` })
  } catch (error) {
    return named({ status: 'fail', detail: error instanceof Error ? error.message : String(error), remedy: 'the proxy does not start with them' })
  } finally {
    lists.close()
  }
}

function named(outcome: Omit<Finding, 'name' | 'group'>): Finding[] {
  return [{ name: 'revocation_lists', group: 'setup', ...outcome }]
}
