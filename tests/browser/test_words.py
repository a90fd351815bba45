"""Catalogues, amounts, devices, links, limits: what needs no server."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tillgate.kernel.money import CURRENCIES, Money
from tillgate.runtime.secrets import Vault
from tillgate.topup_app import amounts, assets, devices, languages, links, orders
from tillgate.topup_app.limits import Limit, TooOften
from tillgate.topup_app.links import LinkExpired, LinkUnknown

APP = Path(languages.__file__).parent
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ALL = languages.languages()


@pytest.mark.parametrize("code", list(ALL))
def test_catalogue_is_complete(code: str) -> None:
    mine, model = ALL[code], ALL[languages.DEFAULT]

    for name in ("texts", "currencies", "declines", "movements"):
        assert getattr(mine, name).keys() == getattr(model, name).keys(), name
    for key, text in mine.texts.items():
        assert text.strip(), key
        fields = set(re.findall(r"\{(\w+)\}", text))
        assert fields <= set(re.findall(r"\{(\w+)\}", model.texts[key])), key


def test_every_text_is_used_and_every_used_text_is_there() -> None:
    sources = [*APP.glob("*.py"), *APP.glob("templates/*.html")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    texts = ALL["en"].texts
    made = re.compile(r"^(?:method|method_hint|provider|status|link|missing|sorry|wait)_")

    used = set(re.findall(r'(?:say\(|language\[|\bt\[)\s*[\'"](\w+)[\'"]', code))
    used |= set(re.findall(r"\bt\.(\w+)\b", code)) - {"say", "money", "money_short"}
    used -= {"symbol", "decline", "movement", "code", "tag", "name"}

    assert {key for key in used if not key.endswith("_")} <= texts.keys()
    unused = {key for key in texts if not re.search(rf"\b{key}\b", code)}
    assert {key for key in unused if not made.match(key)} == set()


@pytest.mark.parametrize("stage", list(orders.Stage))
def test_every_stage_has_a_word(stage: orders.Stage) -> None:
    for language in ALL.values():
        assert language[f"status_{orders.WORD[stage]}"]


@pytest.mark.parametrize(
    ("asked", "accepted", "code"),
    [
        (None, "", "en"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "en;q=0.3, zh-Hans;q=0.7", "zh"),
        (None, "fr, de;q=0.5", "en"),
        (None, "zh;q=0, en;q=0.1", "en"),
        (None, "zh;q=much", "en"),
        ("zh", "en", "zh"),
        ("../zh", "en", "en"),
    ],
)
def test_language_is_asked_for_or_accepted(asked: str | None, accepted: str, code: str) -> None:
    assert languages.choose(asked, accepted).code == code


@pytest.mark.parametrize(
    ("code", "minor", "english", "chinese"),
    [
        ("cny", 123_456_789, "CN¥1,234,567.89", "¥1,234,567.89"),
        ("cny", -5, "−CN¥0.05", "−¥0.05"),
        ("jpy", 1_500, "¥1,500", "JP¥1,500"),
        ("kwd", 1_234, "KWD\u00a01.234", "KWD\u00a01.234"),
        ("pts", 1_200, "1,200\u00a0points", "1,200\u00a0积分"),
    ],
)
def test_amounts_are_written_per_language(
    code: str, minor: int, english: str, chinese: str
) -> None:
    assert ALL["en"].money(minor, code) == english
    assert ALL["zh"].money(minor, code) == chinese


def test_round_amounts_are_short() -> None:
    assert ALL["zh"].money_short(10_000, "cny") == "¥100"
    assert ALL["zh"].money_short(10_050, "cny") == "¥100.50"
    assert ALL["zh"].money_short(1_000, "jpy") == "JP¥1,000"


def test_presets_suit_every_currency() -> None:
    for code, currency in CURRENCIES.items():
        offered = amounts.presets(code)
        assert offered == sorted(offered, key=lambda money: money.minor)
        assert all(money.minor % 10**currency.exponent == 0 for money in offered)
        assert amounts.largest(code).minor > offered[-1].minor
    assert amounts.presets("cny")[1] == Money(10_000, CURRENCIES["cny"])


IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Mobile/15E148 Safari/604.1"


@pytest.mark.parametrize(
    ("headers", "device", "alipay", "wechat"),
    [
        ({"user-agent": "Mozilla/5.0 (X11; Linux x86_64)"}, "desktop", "qr", "qr"),
        ({"user-agent": IPHONE}, "phone", "wap", "h5"),
        ({"user-agent": "odd", "sec-ch-ua-mobile": "?1"}, "phone", "wap", "h5"),
        ({"user-agent": f"{IPHONE} MicroMessenger/8.0.50"}, "wechat", "qr", "qr"),
        ({"user-agent": f"{IPHONE} AlipayClient/10.6"}, "alipay", "wap", "qr"),
        ({}, "desktop", "qr", "qr"),
    ],
)
def test_device_decides_the_presentation(
    headers: dict[str, str], device: str, alipay: str, wechat: str
) -> None:
    found = devices.device_of(headers)

    assert found == device
    assert devices.presentation_of("alipay", found) == alipay
    assert devices.presentation_of("wechat_pay", found) == wechat
    assert devices.presentation_of("card", found) == "card"


def test_link_opens_one_wallet_until_it_expires() -> None:
    vault = Vault(bytes(32))
    url = links.link_for(vault, "https://till", 3, "wal_1", at=NOON, lifetime=timedelta(hours=1))
    token = url.removeprefix("https://till/pay/")

    link = links.read_token(vault, token, at=NOON)
    assert (link.merchant_id, link.wallet_id) == (3, "wal_1")
    assert "wal_1" not in token
    with pytest.raises(LinkExpired):
        links.read_token(vault, token, at=NOON + timedelta(hours=1))


def test_no_other_token_opens_anything() -> None:
    vault = Vault(bytes(32))
    token = links.make_token(vault, 3, "wal_1", NOON + timedelta(hours=1))
    flipped = token[:40] + ("A" if token[40] != "A" else "B") + token[41:]
    others = [token[:-1], token + "A", flipped, "", "ü", "A" * 500, token.swapcase()]
    others.append(links.make_token(Vault(b"1" * 32), 3, "wal_1", NOON + timedelta(hours=1)))

    for other in others:
        with pytest.raises(LinkUnknown):
            links.read_token(vault, other, at=NOON)


def test_limit_lets_a_burst_and_then_a_trickle_through() -> None:
    limit = Limit(burst=3, per_minute=60)
    for _ in range(3):
        limit.take("a", NOON)
    limit.take("b", NOON)

    with pytest.raises(TooOften):
        limit.take("a", NOON)
    limit.take("a", NOON + timedelta(seconds=1))
    with pytest.raises(TooOften):
        limit.take("a", NOON + timedelta(seconds=1))


def test_assets_are_small_and_name_each_other_by_hash() -> None:
    found = assets.Assets()
    app = found.find(found.address("app.js").rpartition("/")[2])

    assert app is not None
    for script in re.findall(r'from "\./([^"]+)"', app.body.decode()):
        assert found.find(script) is not None
    assert found.find("app.js") is None
    files = [*found.scripts(), found.address("page.css"), found.address("till.svg")]
    weight = sum(len(found.find(name.rpartition("/")[2]).zipped) for name in files)  # type: ignore[union-attr]
    assert weight < 16_000


def test_no_page_asks_for_a_card_number() -> None:
    for path in APP.glob("templates/*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"cc-number|cardnumber|card-number|cvc", text, re.IGNORECASE), path
