ALTER TABLE tally_read.balances_history{g} ADD PRIMARY KEY (account, position);

ALTER TABLE tally_read.balances_holds{g} ADD PRIMARY KEY (payment, posting, side);
ALTER TABLE tally_read.balances_holds_history{g}
    ADD PRIMARY KEY (account, opened_position, position);
-- Holds that are open, or were at their deadline: those captured or voided in time never stand
-- in the way of a read, however many there are.
CREATE INDEX ON tally_read.balances_holds{g} (account, expires_at) WHERE "left" > 0 OR expired;
CREATE INDEX ON tally_read.balances_holds{g} (account, opened_position) WHERE "left" > 0;
-- Holds that ended beyond a position.
CREATE INDEX ON tally_read.balances_holds{g} (account, position) WHERE "left" = 0;
