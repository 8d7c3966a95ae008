-- Every statement of the SQLite store, by name. `-- name:` starts one; the lines below it say why.

-- name: known_versions
-- What is stored of the records about to be saved, in one statement however many they are.
SELECT record.kind, record.tenant, record.id, position, phase, moment, body
FROM json_each(:identities) AS asked
JOIN record
    ON record.kind = asked.value ->> 0
    AND record.tenant = asked.value ->> 1
    AND record.id = asked.value ->> 2;

-- name: upsert_record
-- Which version wins was decided before; the start of a record is part of its identity.
INSERT INTO record (
    kind, tenant, id, started_ns, ended_ns, status, service, detector,
    position, phase, moment, body, words
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, tenant, id) DO UPDATE SET
    ended_ns = excluded.ended_ns,
    status = excluded.status,
    service = excluded.service,
    position = excluded.position,
    phase = excluded.phase,
    moment = excluded.moment,
    body = excluded.body,
    words = excluded.words;

-- name: append_event
-- In the same transaction as the change that it announces.
INSERT INTO outbox (kind, body) VALUES (?, ?);

-- name: last_sequence
-- The last number given out, also when its event was pruned since.
SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'outbox';

-- name: first_sequence
-- The oldest event still there.
SELECT coalesce(min(sequence), 0) FROM outbox;

-- name: prune_outbox
-- Readers that were away for longer start over.
DELETE FROM outbox WHERE sequence <= :last;

-- name: events_after
-- What a relay or a resuming reader has not seen, oldest first.
SELECT sequence, kind, body FROM outbox WHERE sequence > :after ORDER BY sequence LIMIT :limit;

-- name: get_record
-- One record by what it is known by.
SELECT body FROM record WHERE kind = :kind AND tenant = :tenant AND id = :id;

-- name: list_records
-- A page, newest first, behind a cursor. Filters that were not asked for are null.
SELECT started_ns, id, body
FROM record INDEXED BY record_by_start
WHERE kind = :kind
    AND tenant = :tenant
    AND (started_ns, id) < (:before_ns, :before_id)
    AND started_ns < :until_ns
    AND ended_ns >= :since_ns
    AND (:service IS NULL OR service = :service)
    AND (:detector IS NULL OR detector = :detector)
ORDER BY started_ns DESC, id DESC
LIMIT :limit;

-- name: list_records_of_status
-- The same where a status was asked for.
SELECT started_ns, id, body
FROM record INDEXED BY record_by_status
WHERE kind = :kind
    AND tenant = :tenant
    AND status = :status
    AND (started_ns, id) < (:before_ns, :before_id)
    AND started_ns < :until_ns
    AND ended_ns >= :since_ns
    AND (:service IS NULL OR service = :service)
    AND (:detector IS NULL OR detector = :detector)
ORDER BY started_ns DESC, id DESC
LIMIT :limit;

-- name: list_records_with_words
-- The same where words were asked for: all of them.
SELECT started_ns, id, body
FROM record INDEXED BY record_by_start
WHERE kind = :kind
    AND tenant = :tenant
    AND (started_ns, id) < (:before_ns, :before_id)
    AND started_ns < :until_ns
    AND ended_ns >= :since_ns
    AND (:status IS NULL OR status = :status)
    AND (:service IS NULL OR service = :service)
    AND (:detector IS NULL OR detector = :detector)
    AND NOT EXISTS (SELECT 1 FROM json_each(:words) AS asked WHERE instr(words, asked.value) = 0)
ORDER BY started_ns DESC, id DESC
LIMIT :limit;

-- name: list_words
-- What is counted of the newest that match.
SELECT words
FROM record INDEXED BY record_by_start
WHERE kind = :kind
    AND tenant = :tenant
    AND started_ns < :until_ns
    AND ended_ns >= :since_ns
    AND (:status IS NULL OR status = :status)
    AND (:service IS NULL OR service = :service)
    AND (:detector IS NULL OR detector = :detector)
    AND NOT EXISTS (SELECT 1 FROM json_each(:words) AS asked WHERE instr(words, asked.value) = 0)
ORDER BY started_ns DESC, id DESC
LIMIT :limit;

-- name: count_records
-- Once at opening; the writer keeps count from there.
SELECT kind, tenant, count(*) FROM record GROUP BY kind, tenant;

-- name: prune_records
-- The oldest that have ended, beyond what a tenant may keep. What is open stays.
DELETE FROM record
WHERE rowid IN (
    SELECT rowid
    FROM record INDEXED BY record_by_start
    WHERE kind = :kind AND tenant = :tenant AND ended_ns < 9223372036854775807
    ORDER BY started_ns, id
    LIMIT :count
);

-- name: quick_check
-- Is the file sound? For the doctor; reads every page, changes none.
PRAGMA quick_check(5);
