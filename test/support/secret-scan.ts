// Looks for secrets in what proxies wrote down: the rules that secretlint recommends, and the forms that secrets have
// here. A finding never repeats the secret.
import { lintSource } from '@secretlint/core'
import { creator } from '@secretlint/secretlint-rule-preset-recommend'

export interface Finding {
  /** 1-based */
  readonly line: number
  readonly rule: string
}

interface Pattern {
  readonly rule: string
  readonly pattern: RegExp
}

const word = String.raw`[A-Za-z0-9_-]`

/** Nothing of these may stand in a journal, in what the exporter set aside, or in an operator log. */
const own: readonly Pattern[] = [
  // 256 bits in base64url, as session tokens, reviewers' tokens and log-ins are made (src/approvals/secret.ts)
  { rule: 'token-of-ours', pattern: new RegExp(`(?<!${word})(?:sp_)?(?=${word}*[A-Z])(?=${word}*[a-z])(?=${word}*[0-9])${word}{43}(?!${word})`) },
  { rule: 'authorization', pattern: /\b(?:bearer|basic|digest|negotiate)\s+(?!\*\*\*)(?=[A-Za-z0-9+/=._~-]*\d)[A-Za-z0-9+/=._~-]{8,}/i },
  { rule: 'authorization-field', pattern: /\b(?:proxy-)?authorization\\?["']?\s*[:=]\s*\\?["']?(?!(?:\w+\s+)?\*\*\*|(?:basic|bearer)\b(?!\s+\w))[A-Za-z0-9]/i },
  { rule: 'cookie', pattern: /\b(?:set-)?cookie2?\\?["']?\s*[:=]\s*\\?["']?(?!\*\*\*)[A-Za-z0-9]/i },
  { rule: 'user-information', pattern: /:\/\/(?!\*\*\*@)[^\s/?#@"'`\\]+@/ },
  { rule: 'password', pattern: /\b(?:password|passwd|secret|api[_-]?key|access[_-]?token|token)=(?!\*\*\*|\{hmac:)[^&\s"'`*]/i },
  { rule: 'private-key', pattern: /-----BEGIN [A-Z ]*PRIVATE KEY/ },
  { rule: 'jwt', pattern: /\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}/ },
  { rule: 'known-prefix', pattern: /\b(?:gh[pousr]_|github_pat_|glpat-|sk-(?:ant-|proj-)?|sk_live_|xox[abpr]-|npm_|hf_|AKIA|AIza)[A-Za-z0-9]{16,}/ },
]

const preset = {
  rules: [{ id: '@secretlint/secretlint-rule-preset-recommend', rule: creator, rules: [], disabled: false, allowMessageIds: [] }],
} as const

/** Base64, in which there is a word of any form by chance; it is public. */
const signature = /"sallyport\.checkpoint\.signature":"[A-Za-z0-9+/=]*"/g

/** What belongs to people, sealed (src/audit/sealed-text.ts): as random, and longer. */
const sealed = /\bv1[so]\.[0-9a-v]{26}\.[A-Za-z0-9_-]{51,}/g

/** What is found in a text of whole lines. */
export async function scanText(written: string): Promise<readonly Finding[]> {
  const text = written.replace(signature, '""').replace(sealed, '')
  const findings: Finding[] = []
  for (const [at, line] of text.split('\n').entries()) {
    for (const { rule, pattern } of own) if (pattern.test(line)) findings.push({ line: at + 1, rule })
  }
  const { messages } = await lintSource({
    source: { content: text, contentType: 'text', filePath: '/log.txt', ext: '.txt' },
    options: { config: { rules: [...preset.rules.map((rule) => ({ ...rule, rules: [], allowMessageIds: [] }))] }, noPhysicFilePath: true },
  })
  for (const { loc, ruleId } of messages) findings.push({ line: loc.start.line, rule: ruleId.replace(/^@secretlint\/secretlint-rule-/, '') })
  return findings
}
