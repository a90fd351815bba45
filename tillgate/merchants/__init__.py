"""Merchants: the tenants, their API keys and their accounts at providers.

A merchant has a test mode and a live mode, and each is a tenant of its own: two rows, two numbers
(odd: test, even: live), one `acct_…`. A key belongs to exactly one of them, so nothing of one mode
can be reached with a key of the other. Keys are random and stored as digests; they are shown once.
Provider accounts are sealed with the installation's key, bound to their row.

Tables: `merchants.merchants api_keys provider_accounts`.
"""
