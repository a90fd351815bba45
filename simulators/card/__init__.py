"""A pretend Stripe: the upstream that charges Visa and Mastercard for us.

It promises Stripe's own wire (form bodies with brackets, Basic or Bearer keys, idempotency with
replay, mismatch and in-use, the error envelope, cursor lists, search, `Stripe-Signature`) over
its own books, with its own signing code, and shares nothing with `tillgate`.

The rooms inside, from the ground up: `form errors cards objects` are pure; `books` keeps what was
made and tells the world about it; `vault intents refunds money` are the verbs; `listing` reads;
`idempotency` remembers answers; `routes` names the addresses; `app` speaks HTTP.
"""
