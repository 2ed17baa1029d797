-- What pay codes and devices need beside their events.

-- A device's secret, AES-256-GCM under a key made of TALLY_SECRET, bound to its row: nonce and
-- ciphertext. Its events hold all else.
CREATE TABLE tally.device_secrets (
    device uuid  PRIMARY KEY,
    handle text  NOT NULL UNIQUE CHECK (handle ~ '^[0-9]{7}$'),
    sealed bytea NOT NULL
);

-- Codes that were tried and never issued, in dry runs too, for as long as they count.
CREATE TABLE tally.attempts (
    command     uuid        NOT NULL,
    fingerprint bytea       NOT NULL,
    caller      text        NOT NULL,
    account     text        NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (command, fingerprint)
);
CREATE INDEX ON tally.attempts (caller, at);
CREATE INDEX ON tally.attempts (account, at);
CREATE INDEX ON tally.attempts (at);

-- Counts an attempt, the same one once, unless as many were counted after `since`; gives whether.
-- The number of the lock is that of infrastructure/locks.py.
CREATE FUNCTION tally.count_attempt(
    command     uuid,
    fingerprint bytea,
    caller      text,
    account     text,
    at          timestamptz,
    since       timestamptz,
    per_caller  integer,
    per_account integer
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1952541805);
    DELETE FROM tally.attempts AS a WHERE a.at <= count_attempt.since;
    IF EXISTS (SELECT FROM tally.attempts AS a WHERE a.command = count_attempt.command
            AND a.fingerprint = count_attempt.fingerprint) THEN
        RETURN true;
    END IF;
    IF (SELECT count(*) FROM tally.attempts AS a WHERE a.caller = count_attempt.caller)
                >= count_attempt.per_caller
            OR (SELECT count(*) FROM tally.attempts AS a WHERE a.account = count_attempt.account)
                >= count_attempt.per_account THEN
        RETURN false;
    END IF;
    INSERT INTO tally.attempts (command, fingerprint, caller, account, at)
    VALUES (count_attempt.command, count_attempt.fingerprint, count_attempt.caller,
        count_attempt.account, count_attempt.at);
    RETURN true;
END
$$;

REVOKE ALL ON FUNCTION tally.count_attempt(uuid, bytea, text, text, timestamptz, timestamptz,
    integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tally.count_attempt(uuid, bytea, text, text, timestamptz, timestamptz,
    integer, integer) TO tally_app;
GRANT SELECT ON tally.attempts TO tally_app;
GRANT SELECT, INSERT, DELETE ON tally.device_secrets TO tally_app;
GRANT UPDATE (sealed) ON tally.device_secrets TO tally_app;
