"""`tillgate keys` tells which keys are in use."""

import json
from datetime import datetime, timedelta
from typing import Any

from tests.entry.processes import ask, running, tillgate
from tillgate.kernel.clock import SystemClock


def keys(environment: dict[str, str], *words: str) -> Any:
    done = tillgate(environment, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_last_use_of_a_key_is_kept(environment: dict[str, str]) -> None:
    keys(environment, "merchants", "create", "Corner Bakery")
    used, unused = (keys(environment, "keys", "create") for _ in range(2))
    port = environment["TILLGATE_HTTP__PORT"]
    begun = SystemClock().now() - timedelta(seconds=1)

    with running("serve", environment):
        bearer = {"Authorization": f"Bearer {used['secret']}"}
        assert ask(port, "/v1/balance", bearer)[0] == 200

    last_used = {key["id"]: key["last_used_at"] for key in keys(environment, "keys", "list")}
    assert begun <= datetime.fromisoformat(last_used[used["id"]]) <= SystemClock().now()
    assert last_used[unused["id"]] is None


def test_a_use_is_written_once(environment: dict[str, str]) -> None:
    """A server that starts again, and hears nothing, leaves what it wrote."""
    keys(environment, "merchants", "create", "Corner Bakery")
    made = keys(environment, "keys", "create")
    port = environment["TILLGATE_HTTP__PORT"]
    with running("serve", environment):
        ask(port, "/v1/balance", {"Authorization": f"Bearer {made['secret']}"})
    first = keys(environment, "keys", "list")

    with running("serve", environment):
        assert ask(port, "/v1/balance", {"Authorization": "Bearer sk_test_guess"})[0] == 401

    assert keys(environment, "keys", "list") == first


def test_the_moment_a_key_is_revoked_is_told(environment: dict[str, str]) -> None:
    keys(environment, "merchants", "create", "Corner Bakery")
    made = keys(environment, "keys", "create")
    begun = SystemClock().now() - timedelta(seconds=1)

    revoked = keys(environment, "keys", "revoke", made["id"])

    assert begun <= datetime.fromisoformat(revoked["revoked_at"]) <= SystemClock().now()
    assert keys(environment, "keys", "revoke", made["id"]) == revoked
