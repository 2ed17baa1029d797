ALTER TABLE tally_read.payments{g} ADD PRIMARY KEY (created_position);
ALTER TABLE tally_read.payments{g} ADD UNIQUE (id);
CREATE INDEX ON tally_read.payments{g} (state, created_position);
CREATE INDEX ON tally_read.payments{g} (reference, created_position) WHERE reference IS NOT NULL;
CREATE INDEX ON tally_read.payments{g} (created_at, created_position);
ALTER TABLE tally_read.payments_accounts{g} ADD PRIMARY KEY (account, created_position);
