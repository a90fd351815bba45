"""Alipay, OpenAPI v2 with RSA2.

`page`, `wap` and `app` are signed here without a call; `qr` asks for a code (precreate). Alipay
makes the trade only when the customer scans or signs in, so until then a question about the order
is answered "no such trade": `NotFound` from `look_up` or `close` of an order shown to a customer
means "not opened yet", not "can never be paid". It is out of reach only after `expires_at`.
"""
