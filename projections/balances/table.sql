CREATE TABLE tally_read.balances{g} (
    account         text COLLATE "C" PRIMARY KEY,
    currency        text    NOT NULL,
    normal_side     text    NOT NULL,
    opened_position bigint  NOT NULL,
    position        bigint  NOT NULL,
    version         bigint  NOT NULL,
    posted          bigint  NOT NULL,
    pending_debit   bigint  NOT NULL,
    pending_credit  bigint  NOT NULL,
    available       numeric,
    balanced_at     timestamptz NOT NULL
) WITH (fillfactor = 60);  -- room for HOT updates: the row moves with each of its account's events

CREATE TABLE tally_read.balances_history{g} (
    account        text COLLATE "C" NOT NULL,
    position       bigint  NOT NULL,
    version        bigint  NOT NULL,
    posted         bigint  NOT NULL,
    pending_debit  bigint  NOT NULL,
    pending_credit bigint  NOT NULL,
    available      numeric,
    balanced_at    timestamptz NOT NULL
);

-- A row for each side of a held posting, the first event of which stands at the opened position.
CREATE TABLE tally_read.balances_holds{g} (
    payment         uuid        NOT NULL,
    posting         integer     NOT NULL,
    side            text        NOT NULL,
    account         text COLLATE "C" NOT NULL,
    opened_position bigint      NOT NULL,
    currency        text        NOT NULL,
    counter_account text        NOT NULL,
    expires_at      timestamptz NOT NULL,
    amount          bigint      NOT NULL,
    captured        bigint      NOT NULL,
    "left"          bigint      NOT NULL,
    expired         boolean     NOT NULL,  -- by its deadline, once that is recorded
    position        bigint      NOT NULL
);

-- What each hold was after each of its events, the first one too.
CREATE TABLE tally_read.balances_holds_history{g} (
    account         text COLLATE "C" NOT NULL,
    opened_position bigint NOT NULL,
    position        bigint NOT NULL,
    captured        bigint NOT NULL,
    "left"          bigint NOT NULL
);
