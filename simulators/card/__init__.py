"""A pretend Stripe: the upstream that charges Visa and Mastercard for us.

It promises Stripe's own wire (form bodies with brackets, Basic or Bearer keys, idempotency with
replay, mismatch and in-use, the error envelope, cursor lists, search, `Stripe-Signature`) over
its own books, with its own signing code, and shares nothing with `tillgate`.

The rooms inside, from the ground up: `form errors cards objects` are pure; `books` keeps what was
made and tells the world about it; `vault charging intents refunds money bills` are the verbs;
`listing searching expanding` read; `idempotency` remembers answers; `webhooks` signs; `challenge`
is the bank's page; `routes` names the addresses; `simulator` puts the API's steps in order.

For harnesses, beside what `common.control` offers:
- Operations for rules are named after the address: `payment_intents.create`, `.confirm`,
  `.capture`, `.cancel`, `.retrieve`, `.list`, `.search`, `refunds.create`, `charges.list`, …;
  `pay` is what the payer's bank does, and a notice's operation is its event's type.
- A payment is found by its id or its metadata; the merchant's number is `metadata[attempt]`, or
  failing that `order` or `reference`, and a refund's is `metadata[refund]`.
- An account's first webhook endpoint gets the secret that the file of keys holds for it.
- `pm_card_sim_processing` and `pm_card_sim_processingFails` are not Stripe's: they stay in
  processing and end five seconds later, as do `pm_card_pendingRefund` and `pm_card_refundFail`.

Not played: disputes, setup intents, publishable keys, payouts, and the expiry of authorisations.
"""
