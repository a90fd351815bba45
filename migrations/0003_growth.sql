-- context: ledger, runtime, webhooks: what pages and questions need once there are millions of rows
-- deploy: before the code
-- locks: ledger.seals, ledger.accounts, runtime.facts and webhooks.deliveries against writes while each index is built
-- rows: none
--
-- Each index is here because a measured page read all rows of its table without it: the books as of
-- a past moment, accounts by the beginning of their code, events of a rare type, deliveries that
-- did not arrive. `bench/growth.py` asks them all.

-- The books as of a moment: the search starts between two seals, not at the first journal.
CREATE INDEX seals_by_time ON ledger.seals (merchant_id, last_at, last_journal);
-- Accounts by the beginning of their code, whatever the database's own collation is.
CREATE INDEX accounts_by_code ON ledger.accounts (merchant_id, code COLLATE "C");
CREATE INDEX facts_by_name ON runtime.facts (merchant_id, name, id);
CREATE INDEX deliveries_of_endpoint ON webhooks.deliveries (merchant_id, endpoint_id, id);
CREATE INDEX deliveries_undelivered ON webhooks.deliveries (merchant_id, status, id)
    WHERE status <> 'delivered';

-- Tables that only grow: a fifth of ten million rows is too long to wait for fresh statistics and
-- for pages marked all-visible.
ALTER TABLE ledger.lines SET (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE runtime.facts SET (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
-- Tables whose due rows are found by a partial index: dead entries are passed over on every look,
-- so they go soon, however large the table has become.
ALTER TABLE payments.payments SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE payments.attempts SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE runtime.notices SET (autovacuum_vacuum_scale_factor = 0.01);
ALTER TABLE webhooks.deliveries SET (autovacuum_vacuum_scale_factor = 0.01);
