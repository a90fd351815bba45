"""Stripe: cards, by one PaymentIntent for each attempt.

The attempt's id is the idempotency key and stands in the metadata, so an order whose answer was
lost is found again by asking, never by paying again. `NotFound` comes only from Stripe's list,
which is strongly consistent; its search is used to find quickly, not to deny.
"""
