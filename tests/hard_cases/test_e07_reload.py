"""Case 7: looking changes nothing, however often the page is reloaded."""

from pathlib import Path

from tests.browser.stage import open_stage
from tests.browser.test_door import reference
from tests.hard_cases.deeds import METHODS, address, nothing_moves, one_of_each, rule, truth
from tests.serving import Client
from tests.worlds import World
from tillgate.api.app import Application


async def test_no_get_of_the_api_moves_anything_here_or_there(
    world: World, client: Client, application: Application
) -> None:
    """Each of them, while orders are open: one shown to the payer, one whose outcome is unknown."""
    made = await one_of_each(world, client)
    waiting = {"amount": 5000, "currency": "cny", "payment_method": "alipay", "confirm": "true"}
    unknown = {"amount": 4004, "payment_method": "pm_card_visa"}
    rule(world, "card", "notice", "lost_notice", probability=1.0)
    opened = [
        (await client.post("/v1/payment_intents", {**waiting, **order})).json
        for order in ({}, unknown)
    ]
    assert [one["status"] for one in opened] == ["requires_action", "processing"]
    rows = [row for row in application.api.table.operations if row.method == "GET"]
    addresses = [address(row, made) for row in rows]
    addresses += [f"/v1/payment_intents/{one['id']}" for one in opened]
    before = [await truth(world, method) for method in METHODS]

    async with nothing_moves(world):
        first = [await client.get(one) for one in addresses]
        again = [await client.get(one) for one in addresses * 2]

    assert {one.status for one in first} == {200}, [one.body for one in first if one.status > 200]
    assert [one.body for one in again] == [one.body for one in first] * 2
    assert [await truth(world, method) for method in METHODS] == before


async def test_reloading_the_page_of_an_order_opens_no_other(
    app_db_url: str, keys_file: Path, tmp_path: Path
) -> None:
    async with open_stage(app_db_url, keys_file, tmp_path) as stage:
        link = stage.link(await stage.open_wallet())
        order = {"reference": reference(), "amount": 5000, "method": "wechat_pay"}
        async with stage.world.session.post(f"{link}/orders", json=order) as answer:
            page = (await answer.json())["page"]
            assert answer.status < 300, page
        before = await truth(stage.world, "wechat_pay")
        assert [told.is_open for told in before.values()] == [True]

        async with nothing_moves(stage.world):
            for _ in range(5):
                async with stage.world.session.get(f"{stage.base_url}{page}") as reloaded:
                    assert reloaded.status == 200

        assert await truth(stage.world, "wechat_pay") == before
