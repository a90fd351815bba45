"""What the worker finishes of what nobody asks about again."""

from typing import Any

import pytest

from tillgate.api.recovery import Recovery
from tillgate.payments.flows import Payments
from tillgate.runtime.db import DatabaseUnavailable

ORDER = {"amount": 1200, "currency": "usd"}


async def _left(client: Any, db: Any, *keys: str) -> dict[str, str]:
    made = {
        key: (await client.post("/v1/payment_intents", ORDER, key=key)).json["id"] for key in keys
    }
    async with db.transaction() as tx:
        await tx.run(
            "UPDATE runtime.idempotency SET status = NULL, body = NULL,"
            " locked_at = locked_at - interval '1 hour'"
        )
    return made


@pytest.mark.parametrize("error", [DatabaseUnavailable, ZeroDivisionError])
async def test_what_cannot_be_finished_now_is_not_answered_and_holds_up_no_other(
    client, db, application, monkeypatch, error
) -> None:
    made = await _left(client, db, "a", "b", "c")
    settle = Payments.settle

    async def fails(self: Payments, merchant_id: int, object_id: str) -> Any:
        if object_id == made["a"]:
            raise error
        return await settle(self, merchant_id, object_id)

    with monkeypatch.context() as patched:
        patched.setattr(Payments, "settle", fails)
        await Recovery(application.api).run()

    async with db.transaction(readonly=True) as tx:
        rows = await tx.all("SELECT key, status FROM runtime.idempotency ORDER BY key")
    assert [tuple(row) for row in rows] == [("a", None), ("b", 200), ("c", 200)]
