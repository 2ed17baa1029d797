CREATE TABLE tally_read.payments{g} (
    created_position bigint      NOT NULL,  -- of its first event: never changes, orders the lists
    id               uuid        NOT NULL UNIQUE,  -- from the start: events find their payment by it
    mode             text        NOT NULL,
    carrier          text        NOT NULL,
    reference        text,
    created_at       timestamptz NOT NULL,
    metadata         json        NOT NULL,
    expires_at       timestamptz,           -- of a hold: from then on it is none, swept or not
    execute_at       timestamptz,           -- of a scheduled payment
    refund_of        uuid,
    payment_request  uuid,                  -- the one that it pays
    -- What events change:
    position         bigint      NOT NULL,  -- of the last command's last event: so from there on
    state            text        NOT NULL,  -- as recorded: what a deadline makes of it, reads tell
    value_date       date        NOT NULL,
    postings         json        NOT NULL,  -- [[debit, credit, amount, currency], …]
    captured         json        NOT NULL,  -- amounts, by posting
    refunded         json        NOT NULL,
    refusal          json,
    expired          boolean     NOT NULL   -- whether its deadline ended it, as recorded
);

CREATE TABLE tally_read.payments_accounts{g} (
    account          text COLLATE "C" NOT NULL,
    created_position bigint NOT NULL
);

-- What a payment was before each event of it beyond the watermark: partitions of a feed run apart.
CREATE TABLE tally_read.payments_before{g} (
    id         uuid    NOT NULL,
    until      bigint  NOT NULL,  -- the position that it has after the event
    position   bigint  NOT NULL,
    state      text    NOT NULL,
    value_date date    NOT NULL,
    postings   json    NOT NULL,
    captured   json    NOT NULL,
    refunded   json    NOT NULL,
    refusal    json,
    expired    boolean NOT NULL,
    PRIMARY KEY (id, until)
);
CREATE INDEX ON tally_read.payments_before{g} (until);

CREATE TABLE tally_read.payments_requests{g} (
    created_position bigint      NOT NULL,  -- of its first event: never changes, orders the lists
    id               uuid        NOT NULL UNIQUE,
    credit_account   text COLLATE "C" NOT NULL,
    currency         text        NOT NULL,
    reference        text,
    created_at       timestamptz NOT NULL,
    metadata         json        NOT NULL,
    token_key        text        NOT NULL,  -- which secret its token is made with
    -- What events change:
    position         bigint      NOT NULL,  -- of the last command's last event: so from there on
    state            text        NOT NULL,  -- as recorded: what a deadline makes of it, reads tell
    revision         integer     NOT NULL,
    amount           bigint,                -- NULL: the payer's choice
    description      text,
    expires_in_s     integer     NOT NULL,
    expires_at       timestamptz NOT NULL,  -- from then on it is expired, swept or not
    payment          uuid                   -- the one that paid it
);

-- What a request was before each event of it beyond the watermark, as payments_before.
CREATE TABLE tally_read.payments_requests_before{g} (
    id           uuid        NOT NULL,
    until        bigint      NOT NULL,  -- the position that it has after the event
    position     bigint      NOT NULL,
    state        text        NOT NULL,
    revision     integer     NOT NULL,
    amount       bigint,
    description  text,
    expires_in_s integer     NOT NULL,
    expires_at   timestamptz NOT NULL,
    payment      uuid,
    PRIMARY KEY (id, until)
);
CREATE INDEX ON tally_read.payments_requests_before{g} (until);
