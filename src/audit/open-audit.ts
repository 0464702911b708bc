// Opens the journal of a data folder as the proxy writes it: signed, and with what belongs to people sealed.
import { openJournal, type Journal, type JournalOptions } from './journal.ts'
import { keysDir } from './key-file.ts'
import { PersonKeys } from './person-keys.ts'
import { Sealer } from './sealer.ts'
import { journalDir } from './segments.ts'
import { loadSigningKey } from './signing-key.ts'

export interface AuditOptions extends Omit<JournalOptions, 'dir' | 'sealer' | 'checkpoints'> {
  readonly dataDir: string
  /** what belongs to people is sealed */
  readonly sealPersonal: boolean
  /** `ms` between two signed checkpoints while something is written */
  readonly checkpointIntervalMs: number
}

/** Throws what `openJournal` throws, and where the keys of people cannot be listed: nothing stays open then. The keys are
 * there without sealing too: what was sealed before is erased with them. */
export async function openAudit({ dataDir, sealPersonal, checkpointIntervalMs, ...options }: AuditOptions): Promise<{ readonly journal: Journal; readonly keys: PersonKeys }> {
  const keys = new PersonKeys({ dir: keysDir(dataDir), clock: options.clock, onFault: options.onFault })
  const journal = await openJournal({
    ...options,
    dir: journalDir(dataDir),
    checkpoints: { signer: loadSigningKey(dataDir), intervalMs: checkpointIntervalMs },
    sealer: sealPersonal ? new Sealer(keys) : undefined,
  })
  try {
    // only now: no other process has the folder
    keys.load()
    return { journal, keys }
  } catch (error) {
    await journal.close()
    throw error
  }
}
