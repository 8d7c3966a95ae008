-- Records of every kind, and the outbox that announces their changes; see the SQLite store's.
-- Texts are ordered by their bytes, as they are everywhere else in the house.

CREATE TABLE record (
    kind       text COLLATE "C" NOT NULL,
    tenant     text COLLATE "C" NOT NULL,
    id         text COLLATE "C" NOT NULL,
    started_ns bigint           NOT NULL,
    ended_ns   bigint           NOT NULL,  -- the greatest integer while it has not ended
    status     text COLLATE "C" NOT NULL,
    service    text COLLATE "C" NOT NULL,
    detector   text COLLATE "C" NOT NULL,
    position   bigint           NOT NULL,  -- position, phase and moment are the version
    phase      bigint           NOT NULL,
    moment     bigint           NOT NULL,
    body       bytea            NOT NULL,
    shown      jsonb,                      -- the body for people, of kinds that a view shows
    -- The start is part of what a record is, and the only column to partition by: TimescaleDB and
    -- PostgreSQL's own partitions refuse a key without it.
    PRIMARY KEY (id, tenant, kind, started_ns)
);

-- Newest first.
CREATE INDEX record_by_start ON record (kind, tenant, started_ns, id);

-- What is open now is asked for most often, and is few among many.
CREATE INDEX record_by_status ON record (kind, tenant, status, started_ns, id);

CREATE TABLE outbox (
    sequence bigint           PRIMARY KEY,
    kind     text COLLATE "C" NOT NULL,
    body     bytea            NOT NULL
);

-- The one row that every save locks first. Numbers are given out and committed in one order by
-- that; those of a sequence are seen in the order of commits, and a reader would pass over some.
CREATE TABLE outbox_bounds (
    is_only  boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    oldest   bigint  NOT NULL,  -- the first event that is left
    last     bigint  NOT NULL   -- the last number given out, also when its event was pruned since
);
INSERT INTO outbox_bounds (oldest, last) VALUES (1, 0);

-- How many records there are: counting them at every save would cost more than the save.
CREATE TABLE tally (
    kind      text COLLATE "C" NOT NULL,
    tenant    text COLLATE "C" NOT NULL,
    n_records bigint           NOT NULL,
    PRIMARY KEY (kind, tenant)
);

-- The key of all identities, one for all processes.
CREATE TABLE installation (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    key     bytea   NOT NULL CHECK (length(key) = 16)
);

-- The audit trail is only ever added to, whoever speaks to this table.
CREATE FUNCTION refuse_change_of_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an entry of the audit trail is never changed or deleted';
END;
$$;

CREATE TRIGGER audit_is_never_changed
    BEFORE UPDATE ON record FOR EACH ROW
    WHEN (old.kind = 'audit' AND old IS DISTINCT FROM new)
    EXECUTE FUNCTION refuse_change_of_audit();

CREATE TRIGGER audit_is_never_deleted
    BEFORE DELETE ON record FOR EACH ROW
    WHEN (old.kind = 'audit')
    EXECUTE FUNCTION refuse_change_of_audit();

CREATE TRIGGER records_are_never_truncated
    BEFORE TRUNCATE ON record FOR EACH STATEMENT
    EXECUTE FUNCTION refuse_change_of_audit();

-- For dashboards and reports: one row per anomaly. A limit of the band that is null is open.
CREATE VIEW anomalies AS
SELECT
    tenant,
    id AS anomaly_id,
    service AS service_name,
    to_timestamp(started_ns / 1e9::float8) AS "timestamp",
    true AS is_anomaly,
    1 - (shown ->> 'p_value')::float8 AS anomaly_score,
    (shown ->> 'p_value')::float8 AS p_value,
    jsonb_build_object(
        'metric', shown -> 'labels' -> '__name__',
        'labels', shown -> 'labels',
        'value', shown -> 'value',
        'expected_low', shown -> 'expected_low',
        'expected_high', shown -> 'expected_high',
        'evidence', shown -> 'evidence'
    ) AS affected_metrics,
    shown ->> 'severity' AS severity,
    detector,
    status = 'closed' AS resolved,
    CASE WHEN status = 'closed' THEN to_timestamp(ended_ns / 1e9::float8) END AS resolved_at,
    started_ns
FROM record
WHERE kind = 'anomaly';
