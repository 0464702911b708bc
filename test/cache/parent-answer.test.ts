import t from 'tap'
import { doubtOf } from '../../src/cache/parent-answer.ts'

t.test('an answer with an Age, against which nothing speaks, is out of the cache', async (t) => {
  for (const fields of [
    ['Age', '0'],
    ['age', '86400', 'X-Cache', 'HIT from parent', 'X-Cache-Lookup', 'HIT from parent:3128', 'Via', '1.1 parent (squid/5.7)'],
    ['Age', '3', 'X-Cache', 'MISS from cdn', 'X-Cache', 'HIT from parent'],
    ['Age', '3', 'X-Cache', 'TCP_MEM_HIT from parent'],
    ['Age', '3', 'Cache-Status', 'cdn; fwd=uri-miss; stored, parent; hit; ttl=30'],
    ['Age', '3', 'Cache-Status', '"a; fwd=miss"; hit'],
    ['Age', '3', 'Via', 'http/1.1 ats (ApacheTrafficServer/9.2.9 [uScRs f p eN:t cCHp s ])'],
    ['Age', '3', 'Via', 'http/1.1 ats (ApacheTrafficServer/9.2.9 [cHs f ])'],
  ]) t.equal(doubtOf(fields), undefined, fields.join(' '))
})

t.test('without one Age, or where the parent says that it asked somebody, it is not', async (t) => {
  for (const [fields, doubt] of [
    [[], 'Age'],
    [['X-Cache', 'HIT from parent'], 'Age'],
    [['Age', '1', 'Age', '1'], 'Age'],
    [['Age', 'x'], 'Age'],
    [['Age', '-1'], 'Age'],
    [['Age', '3', 'X-Cache', 'MISS from parent'], 'X-Cache'],
    [['Age', '3', 'X-Cache', 'HIT from cdn', 'X-Cache', 'MISS from parent'], 'X-Cache'],
    [['Age', '3', 'X-Cache', 'HIT from cdn, MISS from parent'], 'X-Cache'],
    [['Age', '3', 'X-Cache', 'TCP_REFRESH_HIT from parent'], 'X-Cache'],
    [['Age', '3', 'X-Cache', 'RefreshHit from cdn'], 'X-Cache'],
    [['Age', '3', 'X-Cache', 'HITHERTO'], 'X-Cache'],
    [['Age', '3', 'Cache-Status', 'cdn; hit, parent; fwd=uri-miss; stored'], 'Cache-Status'],
    [['Age', '3', 'Cache-Status', 'parent; hit; fwd=stale'], 'Cache-Status'],
    [['Age', '3', 'Cache-Status', 'parent; hit=?0'], 'Cache-Status'],
    [['Age', '3', 'Cache-Status', '"x; hit"'], 'Cache-Status'],
    [['Age', '3', 'Via', 'http/1.1 ats (ApacheTrafficServer/9.2.9 [uScMsSf pSeN:t cCMp sS])'], 'Via'],
    [['Age', '3', 'Via', 'http/1.1 ats (ApacheTrafficServer/9.2.9 [uScSsNf p eN:t cCSp sS])'], 'Via'],
    [['Age', '0', 'Via', 'http/1.1 ats (ApacheTrafficServer/9.2.9 [cMsSfW])'], 'Via'],
    [['Age', '3', 'X-Squid-Error', 'ERR_DNS_FAIL 0'], 'error page'],
  ] as const) t.match(doubtOf(fields), doubt, fields.join(' '))
})
