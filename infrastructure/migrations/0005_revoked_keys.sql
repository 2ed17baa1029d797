-- A key is revoked for ever. The application's role revokes keys and hashes them anew, so it could
-- take that back; or put another hash there, and make a new key of the old one.
CREATE FUNCTION tally.refuse_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE 'key % was revoked at %, for ever', OLD.key_id, OLD.revoked_at;
END
$$;

REVOKE ALL ON FUNCTION tally.refuse_change() FROM PUBLIC;

CREATE TRIGGER a_revoked_key_stays_as_it_is BEFORE UPDATE ON tally.keys FOR EACH ROW
    WHEN (OLD.revoked_at IS NOT NULL AND OLD.* IS DISTINCT FROM NEW.*)
    EXECUTE FUNCTION tally.refuse_change();
