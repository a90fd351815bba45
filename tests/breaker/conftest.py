"""A merchant with keys, and the API of it on a real socket."""

from tests.serving import application, client, db, keys_file, teahouse, world

__all__ = ["application", "client", "db", "keys_file", "teahouse", "world"]
