CREATE TABLE tally_read.accounts{g} (
    account         text COLLATE "C" PRIMARY KEY,
    currency        text        NOT NULL,
    normal_side     text        NOT NULL,
    opened_at       timestamptz NOT NULL,
    opened_position bigint      NOT NULL,
    overdraft_limit bigint,
    max_balance     bigint,
    metadata        json        NOT NULL,
    limits          json        NOT NULL,
    status          text        NOT NULL,
    version         bigint      NOT NULL,
    position        bigint      NOT NULL
) WITH (fillfactor = 70);  -- room for HOT updates: version and position move with each event

-- What an account was before each event of it beyond the watermark: partitions of a feed run apart.
CREATE TABLE tally_read.accounts_before{g} (
    account         text COLLATE "C" NOT NULL,
    until           bigint NOT NULL,  -- position of the event that changed it
    version         bigint NOT NULL,
    position        bigint NOT NULL,
    overdraft_limit bigint,
    max_balance     bigint,
    metadata        json   NOT NULL,
    limits          json   NOT NULL,
    status          text   NOT NULL,
    PRIMARY KEY (account, until)
);
