CREATE INDEX ON tally_read.accounts{g} (currency, account);
-- Nearly all accounts are open: those that aren't are found without looking at the others.
CREATE INDEX ON tally_read.accounts{g} (status, account) WHERE status <> 'open';
