// A morning at a reviewer's desk: questions, grants, sessions, proposals and events as they are in practice.
import { approvalOf, eventOf, grantOf, sessionOf, startMs, worldOf, type World } from './review-pages.ts'

export const longHost = `login.bank.com.${'a1b2c3d4e5.'.repeat(16)}evil-uploads.net`
export const homographHost = 'xn--pple-43d.com'

const minute = 60_000

export function fullWorld(): World {
  const upload = approvalOf({
    id: '01JD0000000000000000UPLOAD', kind: 'request', host: 'api.transfer-box.io', method: 'POST', upgrade: undefined, attempts: 1, waiting: 1,
    url: 'https://api.transfer-box.io/v2/upload?name=build-4821.tar.gz&visibility=public', requestDigest: 'd'.repeat(64), isReview: true,
    reason: 'uploads are always asked about', rule: { id: 'uploads', pattern: '*', file: 'policies/40-uploads.toml', line: 12 },
    statedReason: 'Share the build log with the maintainers, as the ticket asks.\nThe file is 2 MB.', userAgent: 'python-requests/2.32.3', team: 'platform', firstSeenMs: startMs - 7000, lastSeenMs: startMs - 7000,
  })
  const world = worldOf({
    approvals: [
      approvalOf(),
      approvalOf({ id: '01JD000000000000000000BBBB', host: 'cdn.example.org', attempts: 1, waiting: 0, firstSeenMs: startMs - 9 * minute, lastSeenMs: startMs - 9 * minute }),
      upload,
      approvalOf({ id: '01JD00000000000000000LONG0', host: longHost, attempts: 4, waiting: 0, agent: 'claude-code', owner: 'jonas', team: undefined, session: 's9x0tq4m7v2bd', firstSeenMs: startMs - 3 * minute, lastSeenMs: startMs - minute }),
      approvalOf({ id: '01JD00000000000000000HOMO0', host: homographHost, attempts: 1, waiting: 0, agent: 'claude-code', owner: 'jonas', team: undefined, session: 's9x0tq4m7v2bd', port: 8443, firstSeenMs: startMs - 26 * minute, lastSeenMs: startMs - 26 * minute }),
      approvalOf({ id: '01JD00000000000000000SNZ00', host: 'telemetry.vendor.example', waiting: 0, attempts: 31, snoozedUntilMs: startMs + 40 * minute, firstSeenMs: startMs - 60 * minute, lastSeenMs: startMs - 2 * minute }),
      approvalOf({ id: '01JD00000000000000000DONE0', state: 'denied', host: 'paste.example.net', waiting: 0, decision: { verdict: 'deny', term: 'always', by: 'reviewer', secondBy: undefined, atMs: startMs - 120 * minute, comment: 'Use the artifact store.', grantId: '01JD0000000000000000GRANT2' } }),
    ],
    grants: [
      grantOf(),
      grantOf({ id: '01JD0000000000000000GRANT2', approvalId: '01JD00000000000000000DONE0', verdict: 'deny', term: 'always', who: 'agent', holder: 'codex', host: 'paste.example.net', subdomains: true, port: undefined, createdMs: startMs - 120 * minute, expiresMs: undefined }),
    ],
    sessions: [
      sessionOf(),
      sessionOf({ id: 's9x0tq4m7v2bd', principal: { session: 's9x0tq4m7v2bd', agent: 'claude-code', owner: 'jonas', team: undefined }, hold: 20_000, expiresMs: undefined, lastSeenMs: startMs - minute }),
      sessionOf({ id: 's1nightly0run', principal: { session: 's1nightly0run', agent: 'nightly', owner: 'launcher', team: 'platform' }, unattended: true, lastSeenMs: undefined }),
      sessionOf({ id: 's0ended0yeste', endedMs: startMs - 300 * minute }),
    ],
    proposals: [
      { id: '01JD000000000000000000PROP', approvalId: '01JD00000000000000000DONE0', verdict: 'deny', pattern: '**.paste.example.net', agent: 'codex', team: undefined, by: 'reviewer', createdMs: startMs - 120 * minute, state: 'open', decidedBy: undefined },
      { id: '01JD00000000000000000PROP2', approvalId: '01JD00000000000000000DONE0', verdict: 'allow', pattern: 'registry.npmjs.org', agent: undefined, team: 'platform', by: 'reviewer', createdMs: startMs - 400 * minute, state: 'accepted', decidedBy: 'admin' },
    ],
    events: [
      eventOf({ seq: 4811, name: 'sallyport.approval.requested', severity: 'INFO2', body: 'codex asks for files.example.org:443', attributes: { 'sallyport.approval.id': '01JD000000000000000000AAAA', 'server.address': 'files.example.org', 'server.port': 443, 'session.id': 's3kq8v0d1m2xz', 'sallyport.team': 'platform' } }),
      eventOf({ seq: 4812, time: '2026-11-20T14:31:58.004Z', severity: 'WARN', body: 'denied pastebin.com:443: pastebin.com is on the denied list', attributes: { 'sallyport.request.id': '01JD000000000000000000REQ2', 'server.address': 'pastebin.com', 'server.port': 443, 'network.policy.decision': 'deny', 'http.request.method': 'POST', 'url.path': '/api/new', 'session.id': 's9x0tq4m7v2bd' } }),
      eventOf({ seq: 4813, time: '2026-11-20T14:32:01.700Z', body: 'allowed registry.npmjs.org:443: approved by reviewer', attributes: { 'sallyport.request.id': '01JD000000000000000000REQ3', 'server.address': 'registry.npmjs.org', 'server.port': 443, 'network.policy.decision': 'allow', 'http.request.method': 'none', 'session.id': 's3kq8v0d1m2xz' } }),
    ],
  })
  world.cards.set(upload.id, {
    hints: [
      { code: 'first_time_here', text: 'Nobody here has asked for transfer-box.io before.' },
      { code: 'upload_method', text: 'POST sends data out.' },
      { code: 'file_drop', text: 'transfer-box.io lets anybody upload files and share them.' },
    ],
    nearestRules: [
      { rule: { id: 'artifact-store', pattern: '*.artifacts.example.com', file: 'policies/20-build.toml', line: 41 }, why: 'names another host' },
      { rule: { id: 'uploads', pattern: '*', file: 'policies/40-uploads.toml', line: 12 }, why: 'asks about POST and PUT everywhere' },
    ],
    others: [{ agent: 'claude-code', session: 's9x0tq4m7v2bd', state: 'asked, denied' }],
    similar: [{ approvalId: '01JD00000000000000000DONE0', host: 'paste.example.net', verdict: 'deny', term: 'always', by: 'reviewer', atMs: startMs - 120 * minute, comment: 'Use the artifact store.' }],
    patterns: ['api.transfer-box.io', '*.transfer-box.io', '**.transfer-box.io'],
    rules: { fourEyes: true, commentFor: ['allow'], ownerMay: [] },
  })
  world.cards.set('01JD00000000000000000HOMO0', {
    hints: [
      { code: 'confusable', text: 'Its Unicode form mixes scripts and looks like apple.com.' },
      { code: 'unusual_port', text: 'Port 8443 is not the usual one for https.' },
      { code: 'advisory', text: 'This agent runs as the proxy’s own user.' },
    ],
  })
  world.cards.set('01JD00000000000000000LONG0', {
    hints: [{ code: 'long_name', text: 'The name is unusually long; what was registered is evil-uploads.net.' }, { code: 'deep_name', text: 'It has 21 labels.' }],
  })
  return world
}
