// The machine's shape, for the result file: nothing that names it.
import { availableParallelism, cpus, release, totalmem, type } from 'node:os'
import { canPin } from './launch.ts'
import type { Results } from './results.ts'

export function machineShape(): Results['machine'] {
  return {
    cores: availableParallelism(),
    cpu: cpus()[0]?.model.replaceAll(/\s+/g, ' ').trim() ?? 'unknown',
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${/^\d+\.\d+/.exec(release())?.[0] ?? release()}`,
    pinned: canPin,
  }
}
