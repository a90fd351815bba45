"""Pretend Alipay: the OpenAPI gateway (v2, RSA2 keys), cashier, notices and bills."""
