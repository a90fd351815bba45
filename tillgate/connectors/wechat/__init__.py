"""WeChat Pay, API v3, direct merchant.

A 2xx answer counts only with WeChat Pay's signature over its raw bytes; an error carries none and
is read by its code, and only codes that say so decide anything. The key is the WeChat Pay public
key or a platform certificate: certificates are fetched when an unknown serial appears and kept.
"""
