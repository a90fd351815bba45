"""Payments, attempts, refunds: the money path.

A *payment* is what a merchant wants paid; an *attempt* is one try to move its money through one
provider; a *refund* gives some of it back. The room is told which ledger account to pay into
(`pay_into`) and does not know what a wallet is.

Promises
- Commit, call, commit: what we are about to ask is committed before the provider is asked, under a
  number the provider will know it by, and no connection is held meanwhile.
- One door: answers, notices and look-ups come in by `outcomes.record_outcomes`, which locks the row
  and asks the machine. A missing pair of state and news is a contradiction: nothing moves, and a
  break is opened for a person to look at.
- Money is booked in the transaction that makes the payment paid, once per cause.
- `unknown` never ages into failed: the provider is asked until it answers.
- Of a payment's attempts at most one can still be paid. If a second one is paid all the same, it is
  booked apart and given back.
- Refunds never exceed what was received: a row lock, and a constraint behind it.
- A provider's answer with another amount, currency or account than ours credits nothing.

State grids: `machine.GRID` (attempts) and `machine.REFUND_GRID`.

Tables: `payments.payments attempts refunds breaks`. Facts: `payment.created requires_action
processing amount_capturable_updated succeeded attempt_failed canceled mismatched`,
`attempt.authorised succeeded captured failed refunded`, `refund.created updated failed`.

Beside the usual files: `desk.py`, a batch under lock; `outcomes.py` and `refunds.py`, what news does
to it; `booking.py`, the journals (pure); `providers.py`, connectors by provider account.
"""
