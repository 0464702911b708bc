// The tables of this room. A migration is never changed once released; a change is one more of them. Times are
// wall clock in ms; secrets stand here as hashes only.
import type { Migration } from '../store/store.ts'

export const migrations: readonly Migration[] = [
  {
    name: '001-approvals',
    sql: `
CREATE TABLE sessions (
  id TEXT PRIMARY KEY, token_hash BLOB NOT NULL, agent TEXT NOT NULL, owner TEXT, team TEXT,
  hold_ms INTEGER, unattended INTEGER NOT NULL, trusts_ca INTEGER NOT NULL, has_socket INTEGER NOT NULL,
  is_isolated INTEGER NOT NULL, created_ms INTEGER NOT NULL, created_by TEXT NOT NULL,
  expires_ms INTEGER, ended_ms INTEGER, ended_by TEXT, last_seen_ms INTEGER
) STRICT;
CREATE TABLE control_tokens (
  id TEXT PRIMARY KEY, secret_hash BLOB NOT NULL UNIQUE, kind TEXT NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL,
  teams TEXT NOT NULL, created_ms INTEGER NOT NULL, created_by TEXT NOT NULL, expires_ms INTEGER NOT NULL,
  revoked_ms INTEGER, last_used_ms INTEGER
) STRICT;
CREATE TABLE approvals (
  id TEXT PRIMARY KEY, key TEXT NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL, first_seen_ms INTEGER NOT NULL,
  last_seen_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, attempts INTEGER NOT NULL, session TEXT NOT NULL,
  host TEXT NOT NULL, registrable TEXT, data TEXT NOT NULL
) STRICT;
CREATE INDEX approvals_by_state ON approvals (state, id);
CREATE INDEX approvals_by_host ON approvals (host, id);
CREATE INDEX approvals_by_domain ON approvals (registrable, id);
CREATE UNIQUE INDEX one_pending_for_each_key ON approvals (key) WHERE state = 'pending';
CREATE TABLE grants (
  id TEXT PRIMARY KEY, approval_id TEXT NOT NULL, verdict TEXT NOT NULL, term TEXT NOT NULL, who TEXT NOT NULL,
  holder TEXT NOT NULL, scheme TEXT NOT NULL, host TEXT NOT NULL, subdomains INTEGER NOT NULL, port INTEGER,
  request_digest TEXT, made_by TEXT NOT NULL, created_ms INTEGER NOT NULL, expires_ms INTEGER, comment TEXT,
  used_ms INTEGER, ended_ms INTEGER, ended_how TEXT
) STRICT;
CREATE INDEX grants_in_force ON grants (ended_ms, host);
CREATE TABLE proposals (
  id TEXT PRIMARY KEY, approval_id TEXT NOT NULL, verdict TEXT NOT NULL, pattern TEXT NOT NULL, agent TEXT, team TEXT,
  made_by TEXT NOT NULL, created_ms INTEGER NOT NULL, state TEXT NOT NULL, decided_by TEXT, decided_ms INTEGER
) STRICT;
CREATE TABLE outbox (
  id TEXT PRIMARY KEY, target TEXT NOT NULL, body TEXT NOT NULL, created_ms INTEGER NOT NULL, tries INTEGER NOT NULL,
  next_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE idempotency (
  actor TEXT NOT NULL, key TEXT NOT NULL, request_hash TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL,
  created_ms INTEGER NOT NULL, PRIMARY KEY (actor, key)
) STRICT;
`,
  },
  {
    name: '002-web-fetch',
    sql: 'ALTER TABLE sessions ADD COLUMN web_fetch INTEGER NOT NULL DEFAULT 0;',
  },
  {
    name: '003-record',
    sql: 'ALTER TABLE sessions ADD COLUMN record INTEGER NOT NULL DEFAULT 0;',
  },
]
