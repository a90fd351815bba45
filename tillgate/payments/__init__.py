"""Payments, attempts and refunds: the money path.

A *payment* is what a merchant wants paid; an *attempt* is one try to move the money through one
provider; a *refund* gives money back. The walk is always: commit what we are about to do, call the
provider with nothing locked, commit what it said. What a process did not live to record is found
by the worker, which asks the provider. An unknown outcome stays unknown until the provider answers.

Promises
- One attempt of a payment can be open at a time, so a customer is never charged twice for it; a
  second payment that comes in all the same, or one of an amount that the payment no longer has, is
  booked in suspense and refunded, again if need be; doctor's `second_payments_go_back` names those
  that no try brought back.
- An attempt is opened for the payment that its route was chosen by: one that was changed meanwhile
  is refused for now.
- A payment into a wallet with a balance limit is asked for only where there is room; money that came
  is credited all the same.
- The wallet (whatever `pay_into` names) is credited in the transaction that makes the payment paid.
- Answers, notices and look-ups pass the same door, in any order and number: one journal, one fact.
- A provider is answered once its notice has had its effect, or is stored so that it will have it.
- What a provider says was paid is compared with what we asked: another amount, currency or account
  credits nothing and opens a break.
- A refund that somebody makes at the provider itself books nothing and opens a break, once.
- Refunds never exceed what was received: decided under the payment's row lock, and a constraint.

The lives of attempts and refunds are the grids in `machine`. Files: `booking` (which accounts, pure),
`desk` (locked payments, changed in memory, written together), `breaks` (settled by a person;
`break_store` is its SQL),
`commands` (opening), `outcomes` and `refunds` (hearing), `surplus` (what is paid too much, given back),
`foreign` (refunds that we did not order),
`hearing` (providers' notices, from their arrival to their effect), `flows` (journeys), `jobs` (the
worker), `providers` (who takes a charge), `orders` (what a provider is asked, pure), `methods` (which
payment method a request means), `hosted` (the address of a payment's page), `shown` (what the API
shows; `wire` is what it reads).
These names are this room's own; the rest is as everywhere.

Tables: `payments.payments attempts refunds breaks`.
Facts: `payment.created requires_action processing amount_capturable_updated succeeded
attempt_failed canceled mismatched`, `attempt.authorised succeeded captured failed released refunded`,
`refund.created updated failed`.

`methods.py`: which method a request means, and how the customer is brought to its provider.
"""
