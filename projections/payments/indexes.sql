ALTER TABLE tally_read.payments{g} ADD PRIMARY KEY (created_position);
CREATE INDEX ON tally_read.payments{g} (state, created_position);
CREATE INDEX ON tally_read.payments{g} (reference, created_position) WHERE reference IS NOT NULL;
CREATE INDEX ON tally_read.payments{g} (created_at, created_position);
-- What is to come by itself, by its time.
CREATE INDEX ON tally_read.payments{g} (expires_at, created_position)
    WHERE state IN ('held', 'pending_confirmation');
CREATE INDEX ON tally_read.payments{g} (execute_at, created_position) WHERE state = 'scheduled';
ALTER TABLE tally_read.payments_accounts{g} ADD PRIMARY KEY (account, created_position);
ALTER TABLE tally_read.payments_requests{g} ADD PRIMARY KEY (created_position);
CREATE INDEX ON tally_read.payments_requests{g} (credit_account, created_position);
CREATE INDEX ON tally_read.payments_requests{g} (state, created_position);
CREATE INDEX ON tally_read.payments_requests{g} (expires_at, created_position) WHERE state = 'open';
CREATE INDEX ON tally_read.payments_pay_codes{g} (expires_at) WHERE ended_position IS NULL;
