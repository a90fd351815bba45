"""Connectors: our code that talks to providers, one folder each; stateless, no database.

A connector translates. `wire.py` is pure (words of the provider to ours and back); `connector.py`
sends through `client.py` and returns an outcome. "Success only if they say success, failure only
if they say failure, else unknown." A capability is a small Protocol of `port.py`; a connector has
it by having its method, and there is never a default method. One contract suite
(`tests/contract`) runs over all of them.
"""
