"""Deliveries reach no inner address, however it is written."""

import pytest

from tests.webhooks.receiver import Receiver
from tillgate.kernel.clock import SystemClock
from tillgate.webhooks.client import WebhookClient


@pytest.mark.parametrize("host", ["127。0。0。1", "①②⑦.0.0.1", "127.1", "[::127.0.0.1]", "0"])
async def test_inner_address_in_disguise_is_not_reached(receiver: Receiver, host: str) -> None:
    port = receiver.url.rpartition(":")[2]
    client = WebhookClient(SystemClock(), timeout_seconds=1, allow_private_addresses=False)

    answer = await client.post(f"http://{host}:{port}/", b"{}", {})

    await client.close()
    assert answer.status is None
    assert answer.error is not None
    assert "timed out" not in answer.error
    assert receiver.received == []
