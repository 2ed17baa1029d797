-- The event store. Runs as tally_owner, which owns schema tally and all in it.

CREATE TABLE tally.events (
    position    bigint      PRIMARY KEY,
    stream      uuid        NOT NULL,
    version     bigint      NOT NULL,
    type        text        NOT NULL,
    recorded_at timestamptz NOT NULL,
    payload     bytea       NOT NULL,
    UNIQUE (stream, version)
) WITH (
    -- Rows come and never change: vacuum has only the visibility map to set (index-only scans)
    -- and freezes a page the first time it sees it, never again.
    autovacuum_vacuum_insert_threshold = 100000,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_freeze_min_age = 0,
    autovacuum_analyze_threshold = 10000,
    autovacuum_analyze_scale_factor = 0.05
);

-- Disposable: made by replay, may be dropped at any time.
CREATE TABLE tally.snapshots (
    stream        uuid    PRIMARY KEY,
    version       bigint  NOT NULL,
    state_version integer NOT NULL,
    position      bigint  NOT NULL,
    state         bytea   NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE tally.ledger (
    name          text    NOT NULL CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$'),
    secret_checks bytea[] NOT NULL DEFAULT '{}'
);
CREATE UNIQUE INDEX ledger_has_one_row ON tally.ledger ((true));

CREATE TABLE tally.keys (
    key_id     text        PRIMARY KEY,
    caller     text        NOT NULL,
    role       text        NOT NULL CHECK (role IN ('client', 'auditor', 'reporter', 'admin')),
    hash       bytea       NOT NULL UNIQUE,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);

-- Appends all or nothing, as a compare-and-set on the end of the store: NULL, and nothing
-- inserted, where the end is not where the batch was decided. Else the new end.
-- The numbers of the locks are those of infrastructure/locks.py.
CREATE FUNCTION tally.append(
    decided_at  bigint,
    recorded_at timestamptz,
    streams     uuid[],
    versions    bigint[],
    types       text[],
    payloads    bytea[]
) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    appended          constant integer := cardinality(streams);
    patience          constant text := current_setting('lock_timeout');
    the_end           bigint;
    last_recorded_at  timestamptz;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE 'tally.append has to see what was committed before it: use READ COMMITTED';
    END IF;
    IF appended IS NULL OR appended = 0 OR (cardinality(versions), cardinality(types),
            cardinality(payloads)) IS DISTINCT FROM (appended, appended, appended) THEN
        RAISE 'tally.append takes arrays of one length, with at least one event';
    END IF;

    -- A writer that lost a race has its turn. A courtesy: past half a second we go on.
    IF NOT pg_try_advisory_xact_lock_shared(1952541802) THEN
        BEGIN
            PERFORM set_config('lock_timeout', '500ms', true);
            PERFORM pg_advisory_xact_lock_shared(1952541802);
        EXCEPTION WHEN lock_not_available THEN
            NULL;
        END;
        PERFORM set_config('lock_timeout', patience, true);
    END IF;

    PERFORM pg_advisory_xact_lock(1952541801);
    -- A statement of its own, begun after the lock was had: it sees all that came before.
    SELECT e.position, e.recorded_at INTO the_end, last_recorded_at
    FROM tally.events AS e ORDER BY e.position DESC LIMIT 1;

    IF coalesce(the_end, 0) IS DISTINCT FROM append.decided_at THEN
        RETURN NULL;
    END IF;
    IF append.recorded_at < last_recorded_at THEN
        RAISE 'recorded time steps back: % is before %, that of position %',
            append.recorded_at, last_recorded_at, the_end;
    END IF;

    INSERT INTO tally.events (position, stream, version, type, recorded_at, payload)
    SELECT append.decided_at + e.ordinality, e.stream, e.version, e.type, append.recorded_at,
        e.payload
    FROM unnest(append.streams, append.versions, append.types, append.payloads)
        WITH ORDINALITY AS e (stream, version, type, payload, ordinality);

    the_end := append.decided_at + appended;
    PERFORM pg_notify('tally_events', the_end::text);
    RETURN the_end;
END
$$;

-- The last position recorded at or before a time; 0 where there is none. Positions have no gap
-- and recorded times never step back, so a binary search needs no index on the time.
CREATE FUNCTION tally.position_at(at timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    low    bigint := 0;
    high   bigint;
    middle bigint;
BEGIN
    SELECT coalesce(max(e.position), 0) INTO high FROM tally.events AS e;
    WHILE low < high LOOP
        middle := low + (high - low + 1) / 2;
        IF (SELECT e.recorded_at FROM tally.events AS e WHERE e.position = middle)
                <= position_at.at THEN
            low := middle;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN low;
END
$$;

REVOKE ALL ON FUNCTION tally.append(bigint, timestamptz, uuid[], bigint[], text[], bytea[])
    FROM PUBLIC;
REVOKE ALL ON FUNCTION tally.position_at(timestamptz) FROM PUBLIC;

GRANT USAGE ON SCHEMA tally TO tally_app;
GRANT EXECUTE ON FUNCTION tally.append(bigint, timestamptz, uuid[], bigint[], text[], bytea[])
    TO tally_app;
GRANT EXECUTE ON FUNCTION tally.position_at(timestamptz) TO tally_app;
GRANT SELECT ON tally.events, tally.snapshots, tally.ledger, tally.keys, tally.migrations
    TO tally_app;
GRANT INSERT, UPDATE, DELETE ON tally.snapshots TO tally_app;
GRANT UPDATE (secret_checks) ON tally.ledger TO tally_app;
GRANT INSERT ON tally.keys TO tally_app;
GRANT UPDATE (revoked_at, hash) ON tally.keys TO tally_app;
