ALTER TABLE tally_read.balances_history{g} ADD PRIMARY KEY (account, position);
