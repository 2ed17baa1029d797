CREATE TABLE tally_read.statements_accounts{g} (
    account         text COLLATE "C" PRIMARY KEY,
    currency        text   NOT NULL,
    normal_side     text   NOT NULL,
    opened_position bigint NOT NULL
);

-- Where the ledger's first entry of each booking date stands: a period of days is a range of positions.
CREATE TABLE tally_read.statements_days{g} (
    booking_date   date   PRIMARY KEY,
    first_position bigint NOT NULL
);

-- `debits` and `credits` are those of the account up to and with the entry. "Off" entries are those
-- whose value date is another day than the booking date: all others are in order of both dates.
CREATE TABLE tally_read.statements{g} (
    account         text COLLATE "C" NOT NULL,
    position        bigint      NOT NULL,
    recorded_at     timestamptz NOT NULL,
    value_date      date        NOT NULL,
    payment         uuid        NOT NULL,
    side            text        NOT NULL,
    amount          bigint      NOT NULL,
    balance         bigint      NOT NULL,
    counter_account text        NOT NULL,
    reference       text,
    debits          numeric     NOT NULL,
    credits         numeric     NOT NULL,
    off_debits      numeric     NOT NULL,
    off_credits     numeric     NOT NULL,
    PRIMARY KEY (account, position)  -- from the start: an entry goes on from its account's last
);

-- A row for each off entry: the sums of the off entries of its account and value date up to it.
CREATE TABLE tally_read.statements_off_days{g} (
    account    text COLLATE "C" NOT NULL,
    value_date date    NOT NULL,
    position   bigint  NOT NULL,
    debits     numeric NOT NULL,
    credits    numeric NOT NULL,
    PRIMARY KEY (account, value_date, position)
);
