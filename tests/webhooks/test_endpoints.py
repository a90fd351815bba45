"""Endpoints: what is accepted, what is refused, what is kept secret."""

import base64

import pytest

from tests.webhooks.conftest import TEAHOUSE, Merchant
from tillgate.kernel.clock import FixedClock
from tillgate.runtime.db import Database
from tillgate.runtime.secrets import SecretUnreadable, Vault
from tillgate.webhooks import commands, queries
from tillgate.webhooks.addresses import is_public
from tillgate.webhooks.errors import (
    EndpointNotFound,
    EventsRefused,
    OverlapRefused,
    TooManyEndpoints,
    UrlRefused,
)
from tillgate.webhooks.model import EndpointChanges


async def test_the_secret_suits_both_schemes_and_is_sealed(
    db: Database, vault: Vault, teahouse: Merchant
) -> None:
    endpoint, secret = await teahouse.listen("https://teahouse.example/hooks")

    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert secret.encode() not in endpoint.sealed_secret
    assert secret not in repr(endpoint)
    place = commands.sealed_place(TEAHOUSE, endpoint.id)
    assert vault.open(endpoint.sealed_secret, place) == secret.encode()
    with pytest.raises(SecretUnreadable):
        vault.open(endpoint.sealed_secret, commands.sealed_place(5, endpoint.id))
    async with db.transaction(readonly=True) as tx:
        assert await queries.endpoints(tx, TEAHOUSE) == [endpoint]


async def test_a_merchant_has_at_most_sixteen(teahouse: Merchant) -> None:
    for number in range(16):
        await teahouse.listen(f"https://teahouse.example/{number}")

    with pytest.raises(TooManyEndpoints):
        await teahouse.listen("https://teahouse.example/17")
    await teahouse.listen("https://other.example/", merchant_id=5)


async def test_another_merchants_endpoint_is_not_found(db: Database, teahouse: Merchant) -> None:
    endpoint, _ = await teahouse.listen("https://teahouse.example/")

    async with db.transaction() as tx:
        with pytest.raises(EndpointNotFound):
            await queries.endpoint(tx, 5, endpoint.id)
        with pytest.raises(EndpointNotFound):
            await commands.delete_endpoint(tx, 5, endpoint.id)


async def test_an_endpoint_is_changed_and_deleted(db: Database, teahouse: Merchant) -> None:
    endpoint, _ = await teahouse.listen("https://teahouse.example/")

    async with db.transaction() as tx:
        changed = await commands.update_endpoint(
            tx,
            TEAHOUSE,
            endpoint.id,
            EndpointChanges(
                url="https://teahouse.example/new",
                enabled_events=("refund.created",),
                description="till",
                metadata={"a": "b"},
                disabled=True,
            ),
            may_be_private=False,
        )
    async with db.transaction() as tx:
        assert await queries.endpoint(tx, TEAHOUSE, endpoint.id) == changed
        await commands.delete_endpoint(tx, TEAHOUSE, endpoint.id)
    async with db.transaction(readonly=True) as tx:
        assert await queries.endpoints(tx, TEAHOUSE) == []
    assert (changed.url, changed.status) == ("https://teahouse.example/new", "disabled")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://teahouse.example/",
        "https://",
        "https://user:password@teahouse.example/",
        "https://teahouse.example/ space",
        "https://teahouse.example:port/",
        "https://127.0.0.1/",
        "https://[::ffff:10.0.0.1]/",
        "https://[::127.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/",
        "https://example.com/" + "x" * 2000,
    ],
)
def test_addresses_we_would_not_send_to_are_refused_at_once(url: str) -> None:
    with pytest.raises(UrlRefused) as refused:
        commands.check_url(url, TEAHOUSE, may_be_private=False)
    assert refused.value.param == "url"


def test_live_mode_wants_https() -> None:
    commands.check_url("http://teahouse.example/", 3, may_be_private=False)
    with pytest.raises(UrlRefused):
        commands.check_url("http://teahouse.example/", 4, may_be_private=False)


@pytest.mark.parametrize("events", [(), ("nonsense",), ("payment_intent.succeeded", "")])
def test_a_list_that_could_never_match_is_refused(events: tuple[str, ...]) -> None:
    with pytest.raises(EventsRefused):
        commands.check_events(events)


async def test_an_old_secret_signs_along_for_a_day_at_most(
    db: Database, clock: FixedClock, vault: Vault, teahouse: Merchant
) -> None:
    endpoint, _ = await teahouse.listen("https://teahouse.example/")

    async with db.transaction() as tx:
        with pytest.raises(OverlapRefused):
            await commands.roll_secret(
                tx, vault, TEAHOUSE, endpoint.id, overlap_seconds=86_401, at=clock.now()
            )


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("::ffff:127.0.0.1", False),
        ("2002:7f00:1::", False),
        ("64:ff9b::a00:1", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:  # noqa: FBT001
    assert is_public(address) is public
