-- Accounts for `bench.ledger_peers`, under numbers that pgbench can draw. The first may be anything.
CREATE TABLE numbered (number integer PRIMARY KEY, id text NOT NULL);
INSERT INTO numbered
SELECT n, (SELECT a.id FROM pgledger_create_account('account ' || n, 'CNY') a)
FROM generate_series(1, 100000) n;
ANALYZE;
