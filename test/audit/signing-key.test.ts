// The key that signs checkpoints: made once, never replaced, refused when it cannot be trusted.
import { generateKeyPairSync } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, readdirSync, renameSync, statSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { checkpointText, isSignedBy, type Checkpoint } from '../../src/audit/checkpoint.ts'
import { loadSigningKey, readPublicKey, readPublicKeys, signingKeyPaths } from '../../src/audit/signing-key.ts'
import { folder } from './fixture.ts'

const checkpoint: Checkpoint = { journal: '00ff', reason: 'closed', lastSeq: 7, lastHash: 'ab'.repeat(32), segment: 'segment-000000000001.jsonl', time: '2026-01-02T03:04:05.006Z', keyId: '0f' }

t.test('it is made on first need, readable by its owner alone, and is the same ever after', async (t) => {
  const dir = join(folder(t), 'var')
  const made = loadSigningKey(dir)
  t.equal(made.isNew, true)
  const { key, pub } = signingKeyPaths(dir)
  t.equal(statSync(key).mode & 0o777, 0o600)
  t.match(readFileSync(pub, 'utf8'), /^-----BEGIN PUBLIC KEY-----/)
  const text = readFileSync(key, 'utf8')
  const again = loadSigningKey(dir)
  t.match(again, { keyId: made.keyId, isNew: false })
  t.equal(readFileSync(key, 'utf8'), text)
  t.strictSame(readdirSync(dir).toSorted(), ['audit-signing.key', 'audit-signing.pub'], 'nothing else is left')
  t.match(readPublicKeys(dir), [{ keyId: made.keyId }])
})

t.test('what it signs is verified with its public half, and nothing else is', async (t) => {
  const dir = folder(t)
  const { sign } = loadSigningKey(dir)
  const { key } = readPublicKey(signingKeyPaths(dir).pub)
  const signature = sign(checkpointText(checkpoint))
  t.equal(isSignedBy({ ...checkpoint, signature }, key), true)
  for (const [name, value] of Object.entries({ journal: '00fe', reason: 'pruned', lastSeq: 8, lastHash: 'ba'.repeat(32), segment: 'segment-000000000002.jsonl', time: '2026-01-02T03:04:05.007Z', keyId: '0e' })) {
    t.equal(isSignedBy({ ...checkpoint, [name]: value, signature }, key), false, name)
  }
  t.equal(isSignedBy({ ...checkpoint, signature: '' }, key), false)
  t.equal(isSignedBy({ ...checkpoint, signature }, loadPublic(folder(t))), false, 'another key')
})

function loadPublic(dir: string) {
  loadSigningKey(dir)
  return readPublicKey(signingKeyPaths(dir).pub).key
}

const damages: Record<string, { readonly harm: (paths: { key: string; pub: string }) => void; readonly says: RegExp }> = {
  'a key that is truncated': { harm: ({ key }) => writeFileSync(key, readFileSync(key, 'utf8').slice(0, 60)), says: /audit-signing\.key: holds no private key .*restore it from a copy.*audit repair/ },
  'a key that is empty': { harm: ({ key }) => writeFileSync(key, ''), says: /audit-signing\.key: holds no private key/ },
  'a key that is zeroed': { harm: ({ key }) => writeFileSync(key, Buffer.alloc(119)), says: /audit-signing\.key: holds no private key/ },
  'a key of another kind': { harm: ({ key }) => writeFileSync(key, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' })), says: /another kind than Ed25519/ },
  'a key that others may read': { harm: ({ key }) => chmodSync(key, 0o640), says: /other users may open it \(mode 0640\): `chmod 600 / },
  'a key that is a folder': { harm: ({ key }) => { unlinkSync(key); mkdirSync(key) }, says: /is not a file/ },
  'a key that is a link to nothing': { harm: ({ key }) => { renameSync(key, `${key}.old`); symlinkSync(join(key, 'nowhere'), key) }, says: /audit-signing\.key: / },
  'a key that is gone while its public half is there': { harm: ({ key }) => unlinkSync(key), says: /is not there, and its public half .* is: restore the key from a copy/ },
  'a public half of another key': { harm: ({ pub }) => writeFileSync(pub, generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' })), says: /audit-signing\.pub: is not the public half of/ },
  'a public half that is garbage': { harm: ({ pub }) => writeFileSync(pub, 'x'), says: /audit-signing\.pub: holds no public key/ },
  'a private key for a public half': { harm: ({ key, pub }) => writeFileSync(pub, readFileSync(key)), says: /audit-signing\.pub: holds a private key/ },
}

for (const [what, { harm, says }] of Object.entries(damages)) {
  t.test(`${what} is refused by name, and nothing is replaced`, async (t) => {
    const dir = folder(t)
    loadSigningKey(dir)
    const paths = signingKeyPaths(dir)
    harm(paths)
    const before = readdirSync(dir).toSorted()
    t.throws(() => loadSigningKey(dir), { name: 'SigningKeyError', message: says })
    t.strictSame(readdirSync(dir).toSorted(), before)
  })
}

t.test('a public half that is missing is made from its key', async (t) => {
  const dir = folder(t)
  const { keyId } = loadSigningKey(dir)
  unlinkSync(signingKeyPaths(dir).pub)
  t.match(loadSigningKey(dir), { keyId, isNew: false })
  t.equal(readPublicKey(signingKeyPaths(dir).pub).keyId, keyId)
})
