-- Records of every kind, and the outbox that announces their changes.
-- A record's body is its own affair; the columns are what listings filter and order by.

CREATE TABLE record (
    kind       TEXT    NOT NULL,
    tenant     TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    started_ns INTEGER NOT NULL,
    ended_ns   INTEGER NOT NULL,  -- the greatest integer while it has not ended
    status     TEXT    NOT NULL,
    service    TEXT    NOT NULL,
    detector   TEXT    NOT NULL,
    position   INTEGER NOT NULL,  -- position, phase and moment are the version, in this order
    phase      INTEGER NOT NULL,
    moment     INTEGER NOT NULL,
    body       BLOB    NOT NULL,
    PRIMARY KEY (kind, tenant, id)
) STRICT;

-- Newest first. It holds every column that a listing filters by, so that rows which do not match
-- are passed over without being read.
CREATE INDEX record_by_start
    ON record (kind, tenant, started_ns, id, status, service, detector, ended_ns);

-- What is open now is asked for most often, and is few among many.
CREATE INDEX record_by_status ON record (kind, tenant, status, started_ns, id);

-- AUTOINCREMENT: a number that was given out never comes back, even after pruning.
CREATE TABLE outbox (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    kind     TEXT NOT NULL,
    body     BLOB NOT NULL
) STRICT;
