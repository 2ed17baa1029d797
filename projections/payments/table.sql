CREATE TABLE tally_read.payments{g} (
    created_position bigint      NOT NULL,  -- of its first event: never changes, orders the lists
    id               uuid        NOT NULL,
    position         bigint      NOT NULL,  -- of its last event: visible from there on
    state            text        NOT NULL,
    mode             text        NOT NULL,
    carrier          text        NOT NULL,
    reference        text,
    value_date       date        NOT NULL,
    created_at       timestamptz NOT NULL,
    postings         json        NOT NULL,  -- [[debit, credit, amount, currency], …]
    metadata         json        NOT NULL,
    refusal          json
);

CREATE TABLE tally_read.payments_accounts{g} (
    account          text COLLATE "C" NOT NULL,
    created_position bigint NOT NULL
);
