"""Whoever opens an address that leads nowhere is told so kindly; programs hear what they did."""

import pytest

from tests.browser.stage import Stage

NOWHERE = ["/nope", "/pay/", "/pay", "/pay/for/a/b", "/pay/a/b/c", "/v2/wallets"]


async def ask(
    stage: Stage, path: str, *, method: str = "GET", **headers: str
) -> tuple[int, str, str]:
    """Return status, kind and text of an answer."""
    url = stage.base_url + path
    async with stage.world.session.request(method, url, headers=headers) as answer:
        return answer.status, answer.content_type, await answer.text()


@pytest.mark.parametrize("path", NOWHERE)
@pytest.mark.parametrize(
    ("language", "told"), [("en", "There is no such page"), ("zh-CN", "没有这个页面")]
)
async def test_a_person_sees_a_page(stage: Stage, path: str, language: str, told: str) -> None:
    accept = {"Accept": "text/html,*/*;q=0.8", "Accept-Language": language}

    status, kind, text = await ask(stage, path, **accept)

    assert (status, kind) == (404, "text/html")
    assert f"<h1>{told}</h1>" in text
    assert "<style" not in text


@pytest.mark.parametrize(
    ("method", "accept"), [("GET", "application/json"), ("GET", "*/*"), ("POST", "text/html")]
)
async def test_a_program_hears_two_words(stage: Stage, method: str, accept: str) -> None:
    told = await ask(stage, "/nope", method=method, Accept=accept)

    assert told == (404, "text/plain", "Not Found")


async def test_a_slash_too_many_still_leads_to_the_page(stage: Stage) -> None:
    link = stage.link(await stage.open_wallet()).removeprefix(stage.base_url)

    status, _, text = await ask(stage, f"{link}/", Accept="text/html")

    assert status == 200
    assert 'id="balance"' in text


async def test_no_host_breaks_it(stage: Stage) -> None:
    for host in ("[", "[::1", "a b"):
        status, _, text = await ask(stage, "/nope", Accept="text/html", Host=host)
        assert (status, "There is no such page" in text) == (404, True), host
