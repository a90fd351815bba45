"""Whatever stands in an address, a header or a body of the pages: an answer, and never a 5xx."""

import asyncio
import random
from urllib.parse import quote_from_bytes, urlsplit

import pytest
from yarl import URL

from tests.browser.stage import Stage
from tests.worlds import MERCHANT

#: As they stand in an address.
ODD = (
    "%00", "a%00b", "%ff", "%ED%A0%80", "%0d%0aX:1", "%", "%27%20OR%201=1", "-1", "0",
    "999999999999", "9" * 30, "%C2%B2", "wtx_999999999999999999999", "top_", "{0.__class__}",
    "a" * 3000,
)  # fmt: skip
BODIES = (
    b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"\x00", b"1e999", b"{}", b"[" * 4000,
    b'{"reference":"\\u0000","amount":1,"method":"alipay"}',
    b'{"reference":"\\ud800","amount":1,"method":"alipay"}',
    b'{"reference":"\xff","amount":1,"method":"alipay"}',
    b'{"reference":1,"amount":"x","method":[]}',
    b'{"reference":"01jdnz0000000000000000000a","amount":1e30,"method":"alipay"}',
    b'{"reference":"01jdnz0000000000000000000a","amount":1,"method":"\\u0000"}',
    b'{"reference":"01jdnz0000000000000000000a","amount":1,"method":"card","card":"\\u0000"}',
)  # fmt: skip
HEADERS = (
    {"Accept-Language": "en;q=nan, zh;q=inf, \xff;q=-1"},
    {"Host": "["},
    {"Host": "[::1"},
    {"Host": "\xff"},
    {"Origin": "http://["},
    {"Origin": "null"},
    {"User-Agent": "\xff" * 500},
    {"Accept": "\xff"},
    {"Content-Type": "application/json; charset=\xff"},
)


@pytest.fixture
def texts() -> list[str]:
    """The odd ones, and some that nobody thought of; the same ones each time."""
    drawn = random.Random(20_261_122)
    return [*ODD, *(quote_from_bytes(drawn.randbytes(drawn.randint(1, 12))) for _ in range(4))]


async def ask(stage: Stage, method: str, path: str, **given: object) -> int:
    url = URL(stage.base_url + path, encoded=True)
    async with stage.world.session.request(method, url, allow_redirects=False, **given) as answer:
        if answer.content_type == "text/event-stream":
            return answer.status
        await answer.read()
        return answer.status


async def addresses(stage: Stage) -> tuple[str, list[str]]:
    """Return the path of a wallet's pages, and every address with one value left open."""
    home = urlsplit(stage.link(await stage.open_wallet())).path
    payment = await stage.world.pay("alipay")
    bill = f"/pay/for/{MERCHANT}.{payment.id}.x"
    under = ("", "/state", "/events", "/code.svg")
    queries = (
        "amount={}", "method={}", "lang={}", "tab={}", "after={}", "tab=top_ups&after={}", "{}={}",
    )  # fmt: skip
    return home, [
        "/pay/{}",
        "/pay/{}/history",
        "/pay/static/{}",
        *(f"/pay/for/{{}}{end}" for end in under),
        *(f"/pay/for/{MERCHANT}.{{}}.x{end}" for end in under),
        *(f"/pay/for/{{}}.{payment.id}.x{end}" for end in under),
        *(f"{bill}?{query}" for query in queries),
        *(f"{home}/orders/{{}}{end}" for end in under),
        *(f"{home}?{query}" for query in queries),
        *(f"{home}/history?{query}" for query in queries),
        f"{home}/orders?reference={{}}",
    ]


async def test_no_address_of_a_page_breaks_it(stage: Stage, texts: list[str]) -> None:
    _, places = await addresses(stage)
    asked = [place.replace("{}", text) for place in places for text in texts]

    statuses = await asyncio.gather(*(ask(stage, "GET", path) for path in asked))

    assert [path for path, status in zip(asked, statuses, strict=True) if status >= 500] == []


async def test_what_cannot_name_anything_names_nothing(stage: Stage) -> None:
    home, _ = await addresses(stage)

    for end in ("", "/state", "/events", "/code.svg"):
        assert await ask(stage, "GET", f"{home}/orders/%00{end}") == 404
    for query in ("after=%00", "tab=top_ups&after=%00"):
        assert await ask(stage, "GET", f"{home}/history?{query}") == 404


async def test_no_body_breaks_it(stage: Stage, texts: list[str]) -> None:
    home, _ = await addresses(stage)
    named = [f"{home}/orders/{text}/{deed}" for text in texts for deed in ("cancel", "again")]
    json = {"Content-Type": "application/json"}
    read = [f"{home}/orders", f"{home}/orders/top_1/again"]
    asked = [
        *((path, b"{}") for path in named),
        *((path, body) for path in read for body in BODIES),
    ]

    broken = [
        (path, body)
        for path, body in asked
        if await ask(stage, "POST", path, data=body, headers=json) >= 500
    ]

    assert broken == []


@pytest.mark.parametrize(
    ("body", "code", "detail"),
    [
        (b"{", "body_unreadable", "Input data was truncated"),
        (b'{"reference":"x","amount":"1","method":"alipay"}', "body_unreadable", "$.amount"),
        (b'{"reference":"x","amount":1,"method":"alipay"}', "reference_unreadable", "26 char"),
        (b'{"reference":"' + b"x" * 5_000, "body_too_large", "too large"),
    ],
)
async def test_what_cannot_be_read_is_said(
    stage: Stage, body: bytes, code: str, detail: str
) -> None:
    home = urlsplit(stage.link(await stage.open_wallet())).path
    json = {"Content-Type": "application/json", "Accept-Language": "zh"}
    for lang, words in (("", "无法识别"), ("?lang=en", "We could not read what this page sent")):
        url = f"{stage.base_url}{home}/orders{lang}"
        async with stage.world.session.post(url, data=body, headers=json) as answer:
            said = await answer.json()

        assert (answer.status, said["error"], said["again"]) == (400, code, False)
        assert words in said["message"]
        assert detail in said["detail"]


async def test_no_header_breaks_it(stage: Stage) -> None:
    home, _ = await addresses(stage)

    for headers in HEADERS:
        json = {"Content-Type": "application/json", **headers}
        for path in (home, f"{home}/history", "/pay/x", "/pay/offline"):
            assert await ask_raw(stage, "GET", path, headers) < 500, (path, headers)
        assert await ask_raw(stage, "POST", f"{home}/orders", json) < 500, headers


async def ask_raw(stage: Stage, method: str, path: str, headers: dict[str, str]) -> int:
    """Send headers as they are, whatever a client would think of them."""
    port = urlsplit(stage.base_url).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = {"Host": "127.0.0.1", "Content-Length": "2", **headers, "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n{{}}".encode("latin-1"))
    status = await reader.readline()
    writer.close()
    return int(status.split()[1])
