"""The ledger: accounts, journals, postings and holds, in strict double entry.

A *journal* is one movement of value with a unique *cause*; it consists of *lines*, each of which
debits one account and credits another of the same currency by the same amount. So a journal is
balanced in every currency by construction, and the database checks it once more as it is written.
A *posting* is one side of a line: an account, a signed amount, and the balance after it.

Promises
- Every movement has a cause that can be posted once per merchant, for ever.
- An account's balance is what its postings add up to (credits minus debits); nobody else keeps one.
- An account with a floor never has `balance - held` below it, however many callers race.
- Lines are never changed or deleted (the application's role may not); a hash chain over closed
  batches of journals shows it where somebody did.

How it is fast: the row of `ledger.books` serialises a merchant's books; a whole batch of journals
is decided in memory (`machine.Books`, pure) and written by one statement.

Tables: `ledger.books accounts lines holds seals`.

Beside the usual files: `foresight.py`, the books as the batches under way will leave them;
`posting.py`, the fast lane into the books, which stands on it; `seal_store.py`, the SQL of seals
and of the audit.
"""
