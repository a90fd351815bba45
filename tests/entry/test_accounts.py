"""Opening a merchant and giving it its providers from the command line."""

from pathlib import Path

import msgspec
import pytest

from tillgate.entry import accounts
from tillgate.entry.build import open_database, vault_of
from tillgate.kernel.errors import FieldRefused
from tillgate.merchants import queries
from tillgate.merchants.errors import MerchantNotNamed
from tillgate.runtime.settings import DatabaseSettings, Settings

STRIPE = {
    "secret_key": "sk_test_123",
    "webhook_secret": "whsec_1",
    "base_url": "http://127.0.0.1:1",
}


@pytest.fixture
def settings(app_db_url: str, tmp_path: Path) -> Settings:
    return Settings(data_dir=str(tmp_path), database=DatabaseSettings(url=app_db_url))


async def test_a_merchants_provider_is_kept_sealed_and_replaced(settings: Settings) -> None:
    bakery = await accounts.create_merchant(settings, name="Bakery", currency="usd")
    named = {"merchant": bakery["account"], "mode": "test"}
    first = await accounts.put_provider(settings, "stripe", msgspec.json.encode(STRIPE), **named)
    changed = msgspec.json.encode({**STRIPE, "webhook_secret": ["whsec_1", "whsec_2"]})
    second = await accounts.put_provider(settings, "stripe", changed, **named)

    assert await accounts.list_providers(settings, **named) == [second]
    assert first == second
    assert first["notices"].endswith(f"/{first['id']}")
    assert "sk_test_123" not in str(first)
    async with open_database(settings) as db, db.transaction(readonly=True) as tx:
        tenant = await queries.tenant(tx, bakery["account"], livemode=False)
        (opened,) = await queries.opened_accounts(tx, vault_of(settings), tenant.merchant_id)
        sealed = await tx.value("SELECT sealed FROM merchants.provider_accounts")
    assert msgspec.json.decode(opened.config)["webhook_secret"] == ["whsec_1", "whsec_2"]
    assert opened.account.version == 2
    assert b"sk_test_123" not in sealed


@pytest.mark.parametrize(
    ("mode", "config", "param"),
    [
        ("test", {**STRIPE, "secret_key": ""}, "secret_key"),
        ("live", STRIPE, "secret_key"),
        ("test", {**STRIPE, "webhook_secret": []}, "webhook_secret"),
        ("test", [], "config"),
    ],
)
async def test_settings_that_cannot_work_are_refused_and_not_kept(
    settings: Settings, mode: str, config: object, param: str
) -> None:
    bakery = await accounts.create_merchant(settings, name="Bakery", currency="usd")
    named = {"merchant": bakery["account"], "mode": mode}

    with pytest.raises(FieldRefused) as refused:
        await accounts.put_provider(settings, "stripe", msgspec.json.encode(config), **named)

    assert refused.value.param == param
    assert await accounts.list_providers(settings, **named) == []


async def test_among_several_merchants_one_must_be_named(settings: Settings) -> None:
    await accounts.create_merchant(settings, name="Bakery", currency="usd")
    await accounts.create_merchant(settings, name="Teahouse", currency="cny")

    assert {one["name"] for one in await accounts.list_merchants(settings)} == {
        "Bakery",
        "Teahouse",
    }
    with pytest.raises(MerchantNotNamed):
        await accounts.list_providers(settings)


async def test_an_unknown_currency_opens_nothing(settings: Settings) -> None:
    with pytest.raises(FieldRefused):
        await accounts.create_merchant(settings, name="Bakery", currency="xxx")

    assert await accounts.list_merchants(settings) == []
