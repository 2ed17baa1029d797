DROP FUNCTION tally.append(bigint, timestamptz, uuid[], bigint[], text[], bytea[]);

-- Appends all or nothing, as a compare-and-set on the history: NULL, and nothing inserted, where the
-- end is not where the batch was decided, or the event there is another one. That happens where the
-- store has lost its tail and gone on while a writer lives: by the position alone, that writer would
-- take what it remembers of the lost events for what the store says. Else the new end.
-- The numbers of the locks are those of infrastructure/locks.py.
CREATE FUNCTION tally.append(
    decided_at       bigint,  -- 0, and NULL for the three after it: an empty store
    last_stream      uuid,
    last_recorded_at timestamptz,
    last_payload     bytea,
    recorded_at      timestamptz,
    streams          uuid[],
    versions         bigint[],
    types            text[],
    payloads         bytea[]
) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    appended constant integer := cardinality(streams);
    patience constant text := current_setting('lock_timeout');
    the_end  record;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE 'tally.append has to see what was committed before it: use READ COMMITTED';
    END IF;
    IF appended IS NULL OR appended = 0 OR (cardinality(versions), cardinality(types),
            cardinality(payloads)) IS DISTINCT FROM (appended, appended, appended) THEN
        RAISE 'tally.append takes arrays of one length, with at least one event';
    END IF;
    -- RFC 3339 writes no other years. Past them, infinity too, no process could read the end of the
    -- store, and as no time steps back none could ever be recorded after it.
    IF append.recorded_at NOT BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999999+00'
    THEN
        RAISE 'tally.append takes times of the years 1 to 9999, not %', append.recorded_at;
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
    SELECT e.position, e.stream, e.recorded_at, e.payload INTO the_end
    FROM tally.events AS e ORDER BY e.position DESC LIMIT 1;

    IF (coalesce(the_end.position, 0), the_end.stream, the_end.recorded_at, the_end.payload)
            IS DISTINCT FROM (append.decided_at, append.last_stream, append.last_recorded_at,
                append.last_payload) THEN
        RETURN NULL;
    END IF;
    IF append.recorded_at < the_end.recorded_at THEN
        RAISE 'recorded time steps back: % is before %, that of position %',
            append.recorded_at, the_end.recorded_at, the_end.position;
    END IF;

    INSERT INTO tally.events (position, stream, version, type, recorded_at, payload)
    SELECT append.decided_at + e.ordinality, e.stream, e.version, e.type, append.recorded_at,
        e.payload
    FROM unnest(append.streams, append.versions, append.types, append.payloads)
        WITH ORDINALITY AS e (stream, version, type, payload, ordinality);

    PERFORM pg_notify('tally_events', (append.decided_at + appended)::text);
    RETURN append.decided_at + appended;
END
$$;

REVOKE ALL ON FUNCTION tally.append(bigint, uuid, timestamptz, bytea, timestamptz, uuid[],
    bigint[], text[], bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tally.append(bigint, uuid, timestamptz, bytea, timestamptz, uuid[],
    bigint[], text[], bytea[]) TO tally_app;
