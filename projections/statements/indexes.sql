CREATE INDEX ON tally_read.statements{g} (account, value_date, position);
