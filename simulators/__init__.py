"""Pretend Alipay, WeChat Pay and card acquirer on loopback.

They speak the providers' true wire protocols with their own signing code and their own books, and
know nothing of Tillgate: a bug shared with the product could not show itself otherwise.
"""
