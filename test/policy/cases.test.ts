import t from 'tap'
import { compileGroup, linesAgree, problemLines, readGroups, runRow } from './case-files.ts'

for (const { file, groups } of readGroups()) {
  t.test(file.replace(/\.toml$/, ''), async (t) => {
    for (const group of groups) {
      t.test(group.name, async (t) => {
        const result = compileGroup(group)
        for (const [severity, wanted] of [['error', group.errors ?? []], ['warning', group.warnings], ['notice', group.notices]] as const) {
          if (wanted === undefined) continue
          const lines = problemLines(result, severity)
          t.ok(linesAgree(lines, wanted), `${severity}s`, { found: lines, wanted })
        }
        if (group.rows === undefined) return
        const { policy } = result
        if (policy === undefined) throw new Error(`no policy: ${problemLines(result, 'error').join('; ')}`)
        const clone = structuredClone(policy)
        for (const text of group.rows) {
          const { wanted, got } = runRow(policy, text, group.exposed === true)
          t.equal(got, wanted, text)
          t.equal(runRow(clone, text, group.exposed === true).got, got, `${text} (from another thread)`)
        }
      })
    }
  })
}

t.test('the cases are many', async (t) => {
  const groups = readGroups().flatMap((file) => file.groups)
  const count = groups.reduce((sum, { rows = [], errors = [] }) => sum + rows.length + errors.length, 0)
  t.ok(count >= 150, `${count} rows`)
})
