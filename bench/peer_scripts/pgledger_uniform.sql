\set debit random(1, 100000)
\set credit :debit % 100000 + 1
SELECT id FROM pgledger_create_transfer(
    (SELECT id FROM numbered WHERE number = :debit),
    (SELECT id FROM numbered WHERE number = :credit), 1);
