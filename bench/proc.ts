// What /proc says of a process and everything it started: CPU time used, memory resident. Reads only;
// a process that has gone counts as nothing.
import { readdirSync, readFileSync } from 'node:fs'

export interface ProcessStat {
  readonly pid: number
  readonly parent: number
  /** user + system time of the process, all its threads included, in clock ticks */
  readonly ownTicks: number
  /** the same of its children that ended and were waited for */
  readonly reapedTicks: number
}

/** Clock ticks per second that /proc counts in; 100 on every Linux that Node runs on. */
const ticksPerSecond = 100

/** Parses /proc/PID/stat (proc(5)); the command may hold spaces and brackets. */
export function parseStat(text: string): ProcessStat | undefined {
  const open = text.indexOf('(')
  const close = text.lastIndexOf(')')
  if (open < 0 || close < open) return undefined
  const fields = text.slice(close + 2).trim().split(' ').map(Number)
  const [parent, user, system, reapedUser, reapedSystem] = [fields[1], fields[11], fields[12], fields[13], fields[14]]
  const pid = Number(text.slice(0, open))
  if (parent === undefined || user === undefined || system === undefined) return undefined
  if (![pid, parent, user, system].every(Number.isSafeInteger)) return undefined
  return { pid, parent, ownTicks: user + system, reapedTicks: (reapedUser ?? 0) + (reapedSystem ?? 0) }
}

/** VmRSS out of /proc/PID/status, in bytes; 0 when it is not there (a process that is ending). */
export function parseResident(status: string): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(status) ?? []
  return kib === undefined ? 0 : Number(kib) * 1024
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw error
  }
}

/** The process and all its descendants that live now. */
export function processTree(root: number): readonly ProcessStat[] {
  const children = new Map<number, ProcessStat[]>()
  let top: ProcessStat | undefined
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const stat = parseStat(read(`/proc/${entry}/stat`) ?? '')
    if (stat === undefined) continue
    if (stat.pid === root) top = stat
    const siblings = children.get(stat.parent)
    if (siblings === undefined) children.set(stat.parent, [stat])
    else siblings.push(stat)
  }
  const found: ProcessStat[] = top === undefined ? [] : [top]
  for (const stat of found) found.push(...(children.get(stat.pid) ?? []))
  return found
}

/** CPU seconds used so far by a process tree, ended children included. */
export function cpuSeconds(root: number): number {
  let ticks = 0
  for (const stat of processTree(root)) ticks += stat.ownTicks + stat.reapedTicks
  return ticks / ticksPerSecond
}

/** Bytes resident in a process tree. */
export function residentBytes(root: number): number {
  let bytes = 0
  for (const stat of processTree(root)) bytes += parseResident(read(`/proc/${stat.pid}/status`) ?? '')
  return bytes
}

/** Seconds a core was busy with anything, out of /proc/stat; undefined for a core that is not there. */
export function parseBusySeconds(text: string, core: number): number | undefined {
  const line = text.split('\n').find((entry) => entry.startsWith(`cpu${core} `))
  const [user, nice, system, , , irq, softirq, steal] = (line ?? '').split(/\s+/).slice(1).map(Number)
  if (user === undefined || nice === undefined || system === undefined) return undefined
  return (user + nice + system + (irq ?? 0) + (softirq ?? 0) + (steal ?? 0)) / ticksPerSecond
}

export function busySeconds(core: number): number {
  return parseBusySeconds(read('/proc/stat') ?? '', core) ?? 0
}
