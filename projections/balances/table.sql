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
    available       numeric
) WITH (fillfactor = 60);  -- room for HOT updates: the row moves with each of its account's events

CREATE TABLE tally_read.balances_history{g} (
    account        text COLLATE "C" NOT NULL,
    position       bigint  NOT NULL,
    version        bigint  NOT NULL,
    posted         bigint  NOT NULL,
    pending_debit  bigint  NOT NULL,
    pending_credit bigint  NOT NULL,
    available      numeric
);
