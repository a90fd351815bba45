"""The same merchant, for Stripe's own SDKs."""

from tests.serving import application, db, faulty, keys_file, sdk_base, teahouse, world

__all__ = ["application", "db", "faulty", "keys_file", "sdk_base", "teahouse", "world"]
