// The tables of the cache's index. A migration is never changed once released; a change is one more of them. The
// triggers keep the counts, so that no statement can forget them and a start need not count a million rows.
import type { Migration } from '../store/store.ts'

export const cacheMigrations: readonly Migration[] = [
  {
    name: '001-cache',
    sql: `
CREATE TABLE bodies (
  digest TEXT PRIMARY KEY, bytes INTEGER NOT NULL, entries INTEGER NOT NULL, pins INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE entries (
  id INTEGER PRIMARY KEY AUTOINCREMENT, url TEXT NOT NULL, shelf TEXT NOT NULL, partition TEXT NOT NULL, vary TEXT NOT NULL,
  digest TEXT, bytes INTEGER NOT NULL, pinned INTEGER NOT NULL, used INTEGER NOT NULL, source TEXT NOT NULL, head TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX entries_by_key ON entries (url, shelf, partition, vary);
CREATE INDEX entries_by_use ON entries (pinned, used);
CREATE INDEX entries_by_partition ON entries (partition);
CREATE TABLE totals (
  entries INTEGER NOT NULL, pinned INTEGER NOT NULL, body_bytes INTEGER NOT NULL, pinned_bytes INTEGER NOT NULL
) STRICT;
INSERT INTO totals VALUES (0, 0, 0, 0);
CREATE TRIGGER entry_comes AFTER INSERT ON entries BEGIN
  UPDATE totals SET entries = entries + 1, pinned = pinned + NEW.pinned;
  UPDATE bodies SET entries = entries + 1, pins = pins + NEW.pinned WHERE digest = NEW.digest;
END;
CREATE TRIGGER entry_goes AFTER DELETE ON entries BEGIN
  UPDATE totals SET entries = entries - 1, pinned = pinned - OLD.pinned;
  UPDATE bodies SET entries = entries - 1, pins = pins - OLD.pinned WHERE digest = OLD.digest;
END;
CREATE TRIGGER entry_is_pinned AFTER UPDATE OF pinned ON entries WHEN NEW.pinned <> OLD.pinned BEGIN
  UPDATE totals SET pinned = pinned + NEW.pinned - OLD.pinned;
  UPDATE bodies SET pins = pins + NEW.pinned - OLD.pinned WHERE digest = NEW.digest;
END;
CREATE TRIGGER body_comes AFTER INSERT ON bodies BEGIN
  UPDATE totals SET body_bytes = body_bytes + NEW.bytes;
END;
CREATE TRIGGER body_goes AFTER DELETE ON bodies BEGIN
  UPDATE totals SET body_bytes = body_bytes - OLD.bytes;
END;
CREATE TRIGGER body_is_pinned AFTER UPDATE OF pins ON bodies WHEN (NEW.pins > 0) <> (OLD.pins > 0) BEGIN
  UPDATE totals SET pinned_bytes = pinned_bytes + NEW.bytes * ((NEW.pins > 0) - (OLD.pins > 0));
END;`,
  },
]
