-- Every statement of the PostgreSQL store, by name. `-- name:` starts one; the lines below it say
-- why.

-- name: prepare_session
-- Names are found in our schema alone. A statement, a wait for a lock and a client that fell silent
-- inside a transaction all end, so that nobody blocks the others for longer. Plans are made anew each
-- time: one that was made for a small table would stay while it grows. Compiling one takes longer than
-- any of these statements.
SELECT
    set_config('jit', 'off', false),
    set_config('plan_cache_mode', 'force_custom_plan', false),
    set_config('search_path', %(schema)s, false),
    set_config('statement_timeout', %(timeout_ms)s, false),
    set_config('lock_timeout', %(timeout_ms)s, false),
    set_config('idle_in_transaction_session_timeout', %(timeout_ms)s, false);

-- name: read_settings
-- What of the server's settings decides whether it keeps what it was given.
SELECT name, setting FROM pg_settings WHERE name = ANY(%(names)s);

-- name: find_schema
-- Are we there already, and may we be?
SELECT
    to_regnamespace(%(schema)s) IS NOT NULL,
    has_database_privilege(current_database(), 'CREATE'),
    to_regclass(%(schema)s || '.migration') IS NOT NULL;

-- name: await_migrations
-- Held to the end of the transaction; whoever starts at the same time waits, and finds it done.
SELECT pg_advisory_xact_lock(hashtext('watchkeeper'), hashtext(%(schema)s));

-- name: create_migrations
-- What was done to this schema, in the order of numbers.
CREATE TABLE IF NOT EXISTS migration (
    number integer PRIMARY KEY,
    moment text    NOT NULL,
    name   text    NOT NULL
);

-- name: applied_migrations
-- Number and moment, also of those that only a newer release knows.
SELECT number, moment FROM migration;

-- name: note_migration
-- In the same transaction as the migration itself.
INSERT INTO migration (number, moment, name) VALUES (%(number)s, %(moment)s, %(name)s);

-- name: keep_key
-- The first process' key becomes everybody's.
INSERT INTO installation (key) VALUES (%(key)s) ON CONFLICT DO NOTHING;

-- name: get_key
-- Behind `keep_key` there is one.
SELECT key FROM installation;

-- name: lock_bounds
-- First in every save: from here to the commit there is one writer.
SELECT oldest, last FROM outbox_bounds FOR UPDATE;

-- name: known_versions
-- What is stored of the records about to be saved, in one statement however many they are. One by
-- one by the index of the key: LIMIT forbids to join the whole table, and an expression is in no
-- other index, so it holds also where nothing is known yet of how values are spread.
SELECT asked.kind, asked.tenant, asked.id, position, phase, moment, body
FROM unnest(%(kinds)b::text[], %(tenants)b::text[], %(ids)b::text[]) AS asked (kind, tenant, id)
CROSS JOIN LATERAL (
    SELECT position, phase, moment, body
    FROM record
    WHERE record.id = asked.id
        AND record.tenant || '' = asked.tenant
        AND record.kind || '' = asked.kind
    LIMIT 1
) AS found;

-- name: count_records
-- How many there are in the groups about to be saved to.
SELECT kind, tenant, n_records
FROM unnest(%(kinds)b::text[], %(tenants)b::text[]) AS asked (kind, tenant)
JOIN tally USING (kind, tenant);

-- name: upsert_records
-- Which version wins was decided before, and each record comes once.
INSERT INTO record (
    kind, tenant, id, started_ns, ended_ns, status, service, detector,
    position, phase, moment, body, shown, words
)
SELECT
    kind, tenant, id, started_ns, ended_ns, status, service, detector,
    position, phase, moment, body, shown::jsonb, words
FROM unnest(
    %(kinds)b::text[], %(tenants)b::text[], %(ids)b::text[],
    %(started_ns)b::bigint[], %(ended_ns)b::bigint[],
    %(statuses)b::text[], %(services)b::text[], %(detectors)b::text[],
    %(positions)b::bigint[], %(phases)b::bigint[], %(moments)b::bigint[],
    %(bodies)b::bytea[], %(shown)b::text[], %(words)b::text[]
) AS given (
    kind, tenant, id, started_ns, ended_ns, status, service, detector,
    position, phase, moment, body, shown, words
)
ON CONFLICT (kind, tenant, id, started_ns) DO UPDATE SET
    ended_ns = excluded.ended_ns,
    status = excluded.status,
    service = excluded.service,
    position = excluded.position,
    phase = excluded.phase,
    moment = excluded.moment,
    body = excluded.body,
    shown = excluded.shown,
    words = excluded.words;

-- name: append_events
-- In the same transaction as the changes that they announce.
INSERT INTO outbox (sequence, kind, body)
SELECT %(last)s::bigint + number, kind, body
FROM unnest(%(kinds)b::text[], %(bodies)b::bytea[]) WITH ORDINALITY AS given (kind, body, number);

-- name: set_bounds
-- What `lock_bounds` gives the next one.
UPDATE outbox_bounds SET oldest = %(oldest)s, last = %(last)s;

-- name: prune_outbox
-- Readers that were away for longer start over.
DELETE FROM outbox WHERE sequence < %(oldest)s;

-- name: set_tally
-- Absolute, since nobody else can have counted meanwhile.
INSERT INTO tally (kind, tenant, n_records) VALUES (%(kind)s, %(tenant)s, %(n_records)s)
ON CONFLICT (kind, tenant) DO UPDATE SET n_records = excluded.n_records;

-- name: prune_records
-- The oldest that have ended, beyond what a tenant may keep. What is open stays.
WITH gone AS (
    DELETE FROM record
    WHERE (id, tenant, kind, started_ns) IN (
        SELECT id, tenant, kind, started_ns
        FROM record
        WHERE kind = %(kind)s AND tenant = %(tenant)s AND ended_ns < 9223372036854775807
        ORDER BY started_ns, id
        LIMIT %(count)s
    )
    RETURNING 1
)
UPDATE tally SET n_records = n_records - (SELECT count(*) FROM gone)
WHERE kind = %(kind)s AND tenant = %(tenant)s
RETURNING (SELECT count(*) FROM gone);

-- name: events_after
-- What a relay or a resuming reader has not seen, oldest first.
SELECT sequence, kind, body
FROM outbox
WHERE sequence > %(after)s
ORDER BY sequence
LIMIT %(limit)s;

-- name: get_record
-- One record by what it is known by; see `known_versions`.
SELECT body FROM record
WHERE id = %(id)s AND tenant || '' = %(tenant)s AND kind || '' = %(kind)s;

-- name: list_records
-- A page, newest first, behind a cursor. Filters that were not asked for are null.
SELECT started_ns, id, body
FROM record
WHERE kind = %(kind)s
    AND tenant = %(tenant)s
    AND (started_ns, id) < (%(before_ns)s::bigint, %(before_id)s::text)
    AND started_ns < %(until_ns)s::bigint
    AND ended_ns >= %(since_ns)s::bigint
    AND (%(service)s::text IS NULL OR service = %(service)s::text)
    AND (%(detector)s::text IS NULL OR detector = %(detector)s::text)
ORDER BY started_ns DESC, id DESC
LIMIT %(limit)s;

-- name: list_records_of_status
-- The same, by the index that finds few among many.
SELECT started_ns, id, body
FROM record
WHERE kind = %(kind)s
    AND tenant = %(tenant)s
    AND status = %(status)s
    AND (started_ns, id) < (%(before_ns)s::bigint, %(before_id)s::text)
    AND started_ns < %(until_ns)s::bigint
    AND ended_ns >= %(since_ns)s::bigint
    AND (%(service)s::text IS NULL OR service = %(service)s::text)
    AND (%(detector)s::text IS NULL OR detector = %(detector)s::text)
ORDER BY started_ns DESC, id DESC
LIMIT %(limit)s;

-- name: list_records_with_words
-- The same where words were asked for: all of them.
SELECT started_ns, id, body
FROM record
WHERE kind = %(kind)s
    AND tenant = %(tenant)s
    AND (started_ns, id) < (%(before_ns)s::bigint, %(before_id)s::text)
    AND started_ns < %(until_ns)s::bigint
    AND ended_ns >= %(since_ns)s::bigint
    AND (%(status)s::text IS NULL OR status = %(status)s::text)
    AND (%(service)s::text IS NULL OR service = %(service)s::text)
    AND (%(detector)s::text IS NULL OR detector = %(detector)s::text)
    AND NOT EXISTS (
        SELECT 1 FROM unnest(%(words)s::text[]) AS asked (word) WHERE strpos(words, word) = 0
    )
ORDER BY started_ns DESC, id DESC
LIMIT %(limit)s;

-- name: list_words
-- What is counted of the newest that match.
SELECT words
FROM record
WHERE kind = %(kind)s
    AND tenant = %(tenant)s
    AND started_ns < %(until_ns)s::bigint
    AND ended_ns >= %(since_ns)s::bigint
    AND (%(status)s::text IS NULL OR status = %(status)s::text)
    AND (%(service)s::text IS NULL OR service = %(service)s::text)
    AND (%(detector)s::text IS NULL OR detector = %(detector)s::text)
    AND NOT EXISTS (
        SELECT 1 FROM unnest(%(words)s::text[]) AS asked (word) WHERE strpos(words, word) = 0
    )
ORDER BY started_ns DESC, id DESC
LIMIT %(limit)s;
