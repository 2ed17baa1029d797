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
CREATE TABLE tally_read.payments_pay_codes{g} (
    id              uuid        PRIMARY KEY,
    issued_position bigint      NOT NULL,  -- of its command's last event
    debit_account   text        NOT NULL,
    currency        text        NOT NULL,
    max_amount      bigint      NOT NULL,
    confirm_above   bigint,
    expires_at      timestamptz NOT NULL,  -- from then on it is over, recorded or not
    created_at      timestamptz NOT NULL,
    ended_position  bigint,
    payment         uuid                   -- that used it; NULL where it ended by its deadline
) WITH (fillfactor = 80);

CREATE TABLE tally_read.payments_devices{g} (
    id                  uuid        PRIMARY KEY,
    registered_position bigint      NOT NULL,
    handle              text        NOT NULL,
    debit_account       text        NOT NULL,
    currency            text        NOT NULL,
    per_payment_max     bigint      NOT NULL,
    offline_total_max   bigint      NOT NULL,
    created_at          timestamptz NOT NULL
);

-- A row for each event of a device.
CREATE TABLE tally_read.payments_devices_history{g} (
    device        uuid   NOT NULL,
    position      bigint NOT NULL,  -- of its command's last event
    state         text   NOT NULL,
    offline_spent bigint NOT NULL,
    PRIMARY KEY (device, position)
);

-- What was booked; `part` is the feed's partition that it came by.
CREATE TABLE tally_read.payments_carriers{g} (
    booking_date date    NOT NULL,
    carrier      text    NOT NULL,
    currency     text    NOT NULL,
    part         integer NOT NULL,
    payments     bigint  NOT NULL,
    amount       numeric NOT NULL,
    PRIMARY KEY (booking_date, carrier, currency, part)
) WITH (fillfactor = 50);

-- What of it lies beyond the watermark: partitions of a feed run apart.
CREATE TABLE tally_read.payments_carriers_ahead{g} (
    position     bigint  NOT NULL,  -- of the command's last event
    booking_date date    NOT NULL,
    carrier      text    NOT NULL,
    currency     text    NOT NULL,
    payments     bigint  NOT NULL,
    amount       numeric NOT NULL,
    PRIMARY KEY (position, currency)
);
