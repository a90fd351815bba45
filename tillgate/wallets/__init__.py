"""Wallets: what a customer holds with one merchant in one currency.

A wallet is two ledger accounts, both with a floor of zero: `wallet:<id>:principal` (what was paid
in) and `wallet:<id>:bonus` (what was given). Balances are the ledger's and nobody else's; this room
keeps the wallet's terms, its holds, and what each journal meant (`wallets.transactions`).

Promises
- Principal is spent before bonus, so that a top-up that is paid back has cost the merchant least.
  A refund of a spend undoes it from its end: bonus first, then principal.
- Never more is spent, held, captured, transferred or given back than there is, however many race.
- A frozen wallet still receives money; freezing stops spending, holding and transfers out. What was
  held before can still be captured or released. A closed wallet is empty and takes no new top-up;
  late money is credited even there.
- Limits: one movement (`single`), a UTC day (`daily`: spends, holds and transfers out; a hold counts
  on the day it is placed, and what is given back of it on that same day is free again), and the
  balance a top-up or transfer may lead to (`balance`; refused before anything is charged). A top-up
  counts with its bonus and with what other open ones may still bring; a transfer counts what is
  there. Money that came late, and what is given back of a spend, is credited past the limit.
- A statement is the ledger's: each posting on the wallet's accounts appears at once, even before
  `record_movements` has given it its row, and its id is the same before and after.

State grid of a wallet (row: status, column: news)

            frozen   unfrozen  closed   reopened
    open    frozen   open      closed   open
    frozen  frozen   open      closed   frozen
    closed  !        !         closed   open

Tables: `wallets.wallets transactions holds`.
Facts (object: the wallet; sequence: the wallet's): `wallet.opened updated frozen unfrozen closed
reopened debited credited hold_created hold_captured hold_released hold_expired`.

Beside the usual files: `desk.py`, a batch under lock; `decisions.py`, what each order does to it;
`foresight.py`, a batch decided while the one before is written.
"""
