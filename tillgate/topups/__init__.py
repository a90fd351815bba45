"""A customer adds value to a wallet.

A top-up is an order: this wallet, this amount, this bonus. The money itself is a payment whose
`pay_into` is the wallet's principal account and whose gift is the bonus, so the wallet is credited
in the very transaction that makes the payment paid. A top-up keeps no state of its own: where it
stands is where its payment stands. A refund takes back what the top-up gave, the bonus pro rata;
what was spent already falls under the stated policy (`block`, `partial` or `receivable`).

Tables: `topups.top_ups`. Facts: `top_up.created`, `top_up.succeeded`, `top_up.canceled`.
"""
