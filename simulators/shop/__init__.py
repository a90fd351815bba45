"""The demo shop: a merchant's own backend, which hears of payments through webhooks alone.

`signatures` checks what came, in both schemes, as a merchant would who never saw Tillgate's code.
`deliveries` remembers the last two hundred, and what was odd about them.
`backend` is the server: `POST /webhooks` for Tillgate, `/` for a person, `/_control/` for `seed`.
"""
