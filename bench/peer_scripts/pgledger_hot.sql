\set debit random(2, 100000)
SELECT id FROM pgledger_create_transfer(
    (SELECT id FROM numbered WHERE number = :debit),
    (SELECT id FROM numbered WHERE number = 1), 1);
