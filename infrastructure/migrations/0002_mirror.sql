-- How far the Kafka mirror says it is: for people and metrics, and so that another one takes over
-- from one that is silent. The truth is in the progress topic.
CREATE TABLE tally.mirror (
    position    bigint      NOT NULL,
    seen_at     timestamptz NOT NULL,
    refused     text        -- why it doesn't run; NULL while it does
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX mirror_has_one_row ON tally.mirror ((true));

GRANT SELECT, INSERT, UPDATE ON tally.mirror TO tally_app;
