"""`tillgate seed`: a demo merchant in test mode, whose providers are the simulators.

Safe to run again and again: what is there stays, and the provider accounts follow the simulators'
addresses. The demo's keys are kept in `demo.json` of the data folder (mode 0600), since the
database holds only their digests.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from tillgate.customers import commands as customers
from tillgate.customers.model import Change, Customer
from tillgate.entry import shop
from tillgate.entry.build import open_database, vault_of
from tillgate.entry.demo import MERCHANT, keys_file
from tillgate.kernel.clock import Clock, SystemClock
from tillgate.kernel.ids import new_id
from tillgate.kernel.money import CURRENCIES
from tillgate.merchants import commands as merchants
from tillgate.merchants import queries as merchant_queries
from tillgate.merchants.model import ProviderAccount
from tillgate.payments.providers import notify_url
from tillgate.runtime.db import Database
from tillgate.runtime.secrets import Vault
from tillgate.runtime.settings import Settings
from tillgate.topup_app.links import link_for
from tillgate.wallets import flows as wallets
from tillgate.wallets.model import OpenWallet

#: The simulators' names for the providers we call alipay, wechat_pay and stripe.
_SECTIONS = {"alipay": "alipay", "wechat": "wechat_pay", "card": "stripe"}


class Demo(msgspec.Struct, kw_only=True):
    """What the demo consists of; written down once it is there."""

    account: str
    merchant_id: int
    live_merchant_id: int
    secret_key: str
    publishable_key: str
    customer: str
    wallet: str
    wallet_usd: str
    providers: dict[str, str]


class SeedResult(msgspec.Struct, kw_only=True):
    """What a person wants to know of the demo."""

    account: str
    secret_key: str
    publishable_key: str
    customer: str
    wallet: str
    wallet_usd: str
    #: The pages of Li's wallets, good for 30 days.
    topup_url: str
    topup_url_usd: str


async def run(settings: Settings) -> SeedResult:
    """Make what is missing of the demo."""
    clock = SystemClock()
    vault = vault_of(settings)
    file = keys_file(settings.data_path)
    async with open_database(settings) as db:
        demo = _read(file)
        if demo is None or not await _is_there(db, demo):
            demo = await _make(db, clock)
            _write(file, demo)
        await _connect(db, vault, clock, demo, settings)
        await shop.introduce(db, vault, clock, demo.merchant_id, settings.simulators)
    base_url, at = settings.http.base_url, clock.now()
    return SeedResult(
        account=demo.account,
        secret_key=demo.secret_key,
        publishable_key=demo.publishable_key,
        customer=demo.customer,
        wallet=demo.wallet,
        wallet_usd=demo.wallet_usd,
        topup_url=link_for(vault, base_url, demo.merchant_id, demo.wallet, at=at),
        topup_url_usd=link_for(vault, base_url, demo.merchant_id, demo.wallet_usd, at=at),
    )


def demo_page(settings: Settings, vault: Vault, clock: Clock) -> str | None:
    """Return the path of the demo's top-up page, while the demo and its providers are there.

    It opens a wallet to whoever has it, so it is not shown where the outside world comes in.
    """
    is_shown = settings.simulators.enabled and not settings.http.public_url
    demo = _read(keys_file(settings.data_path)) if is_shown else None
    if demo is None:
        return None
    return link_for(vault, "", demo.merchant_id, demo.wallet, at=clock.now())


async def _is_there(db: Database, demo: Demo) -> bool:
    async with db.transaction(readonly=True) as tx:
        found = await merchant_queries.merchants(tx)
    return any(one.merchant_id == demo.merchant_id and one.account == demo.account for one in found)


async def _make(db: Database, clock: Clock) -> Demo:
    at = clock.now()
    async with db.transaction() as tx:
        test, live = await merchants.create_merchant(tx, MERCHANT, default_currency="cny", at=at)
        secret = await merchants.create_key(tx, test.merchant_id, "secret", name="demo", at=at)
        publishable = await merchants.create_key(
            tx, test.merchant_id, "publishable", name="demo", at=at
        )
        customer = Customer(
            merchant_id=test.merchant_id,
            id=new_id("cus"),
            name="Li Lei",
            email="li@teahouse.example",
            preferred_locales=["zh-CN"],
            created_at=at,
        )
        change = Change(merchant_id=test.merchant_id, id=customer.id, new=customer)
        await customers.apply(tx, [change], at=at)
    opened = {
        code: await _open_wallet(db, test.merchant_id, customer.id, code, clock)
        for code in ("cny", "usd")
    }
    return Demo(
        account=test.account,
        merchant_id=test.merchant_id,
        live_merchant_id=live.merchant_id,
        secret_key=secret.text,
        publishable_key=publishable.text,
        customer=customer.id,
        wallet=opened["cny"],
        wallet_usd=opened["usd"],
        providers={provider: new_id("pa") for provider in _SECTIONS.values()},
    )


async def _open_wallet(
    db: Database, merchant_id: int, customer_id: str, code: str, clock: Clock
) -> str:
    order = OpenWallet(
        merchant_id=merchant_id,
        at=clock.now(),
        id=new_id("wal"),
        customer_id=customer_id,
        currency=CURRENCIES[code],
    )
    return (await wallets.order(db, order)).wallet.id


async def _connect(
    db: Database, vault: Vault, clock: Clock, demo: Demo, settings: Settings
) -> None:
    """Let the demo's provider accounts point to the simulators as they run now."""
    sections = _simulated(settings)
    async with db.transaction(readonly=True) as tx:
        accounts = await merchant_queries.opened_accounts(tx, vault, demo.merchant_id)
    earlier = {opened.account.provider: msgspec.json.decode(opened.config) for opened in accounts}
    for section, provider in _SECTIONS.items():
        if section not in sections:
            continue
        config = {**sections[section], "livemode": False}
        if provider == "stripe":
            address = notify_url(settings.http.base_url, demo.merchant_id, demo.providers[provider])
            await _listen(config, address, earlier.get(provider, {}).get("webhook_secret"))
        account = ProviderAccount(
            merchant_id=demo.merchant_id,
            id=demo.providers[provider],
            provider=provider,
            enabled=True,
            version=1,
            created_at=clock.now(),
        )
        async with db.transaction() as tx:
            await merchants.put_provider_account(tx, vault, account, msgspec.json.encode(config))


def _simulated(settings: Settings) -> dict[str, dict[str, Any]]:
    file = settings.data_path / "simulators" / "merchants.json"
    if not settings.simulators.enabled or not file.exists():
        return {}
    return msgspec.json.decode(file.read_bytes())["merchants"][0]


async def _listen(config: dict[str, Any], url: str, secret: str | None) -> None:
    """Register our address for notices with the card provider, unless it is and we know the secret."""
    headers = {"Authorization": f"Bearer {config['secret_key']}"}
    endpoints = f"{config['base_url']}/v1/webhook_endpoints"
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.get(endpoints, params={"limit": "100"}) as answer:
            known = (await answer.json())["data"]
        if secret is not None and any(endpoint["url"] == url for endpoint in known):
            config["webhook_secret"] = secret
            return
        for endpoint in known:
            await session.delete(f"{endpoints}/{endpoint['id']}")
        form = {"url": url} | {
            f"enabled_events[{i}]": name for i, name in enumerate(HEARD_OF_CARDS)
        }
        async with session.post(endpoints, data=form) as answer:
            config["webhook_secret"] = (await answer.json())["secret"]


#: What the card provider is to tell us; everything else would only be answered and forgotten.
HEARD_OF_CARDS = (
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "payment_intent.amount_capturable_updated",
    "refund.updated",
    "refund.failed",
)


def _read(file: Path) -> Demo | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Demo)
    except (OSError, msgspec.DecodeError):
        return None


def _write(file: Path, demo: Demo) -> None:
    text = msgspec.json.format(msgspec.json.encode(demo), indent=2)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(text)
