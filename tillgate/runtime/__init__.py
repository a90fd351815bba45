"""What every room stands on: transactions, group commit, facts, the notice inbox, settings, logs.

Tables (schema `runtime`): `migrations`, `facts` (the log of what happened), `unrelayed` (the
outbox: which facts are still to be relayed), `parked_facts` (those that a subscriber failed on),
`notices` (the raw inbox), `idempotency` (answers by key). Promises: a transaction is never open
over a network call; a fact is written in the transaction that made it true; importing any module
reads no environment.
"""
