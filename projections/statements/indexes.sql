ALTER TABLE tally_read.statements{g} ADD PRIMARY KEY (account, position);
CREATE INDEX ON tally_read.statements{g} (account, value_date, position);
