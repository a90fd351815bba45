"""Case 16: a notice is kept as it came in, whatever was made of it, and can be replayed."""

import asyncio

import pytest

from tests.hard_cases.deeds import METHODS, journals, nothing_moves, paid, rule, simulator
from tests.worlds import World
from tillgate.connectors import port
from tillgate.entry import replay
from tillgate.payments import hearing, jobs
from tillgate.runtime import notices
from tillgate.runtime.settings import DatabaseSettings, Settings


@pytest.mark.parametrize("method", METHODS)
async def test_every_stored_notice_can_be_replayed_without_effect(
    world: World, method: str
) -> None:
    await paid(world, method)
    await simulator(world, method).sender.settle()
    await world.payments.finish()
    async with world.db.transaction(readonly=True) as tx:
        rows = await tx.all("SELECT merchant_id, id, length(body) AS size FROM runtime.notices")
        stored = [await notices.one(tx, row["merchant_id"], row["id"]) for row in rows]

    assert all(row["size"] > 100 for row in rows)
    async with nothing_moves(world):
        await asyncio.gather(*(world.payments.notices.apply(raw) for raw in stored * 3 if raw))


async def test_notice_stored_by_a_process_that_died_is_applied_by_the_worker(world: World) -> None:
    payment = await world.pay("wechat_pay")
    world.payments.notices._under_way = _Full()  # this process is too busy to apply anything itself
    await world.phone_pays("wechat_pay", payment)
    await simulator(world, "wechat_pay").sender.settle()
    assert (await world.payment(payment.id)).status == "requires_action"

    await world.sweep()

    assert (await world.payment(payment.id)).status == "succeeded"


@pytest.mark.parametrize("method", METHODS)
async def test_notice_that_our_code_dropped_is_replayed_by_hand_and_has_its_effect(
    world: World, method: str, app_db_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release forgot what such a notice means; the next one knows it again."""
    rule(world, method, "create", "reset_after", next=1)
    sender = simulator(world, method).sender

    async def misread(*_: object, **__: object) -> port.Notice:
        return port.OtherNotice("something.unheard_of")

    with monkeypatch.context() as forgetful:
        forgetful.setattr(hearing, "read_notice", misread)
        payment = await world.pay(method)
        if method != "card":
            await world.phone_pays(method, payment)
        await sender.settle()
    assert sender.acked >= 1
    assert (await world.payment(payment.id)).status == "processing"
    async with world.db.transaction(readonly=True) as tx:
        stored = [row["id"] for row in await tx.all("SELECT id FROM runtime.notices")]

    settings = Settings(database=DatabaseSettings(url=app_db_url))
    for notice_id in stored:
        await replay.notice(settings, notice_id)
    await jobs.apply_stored_notices(world.payments)

    assert (await world.payment(payment.id)).status == "succeeded"
    assert await journals(world, f"payment:{payment.latest_attempt}") == 1
    await world.assert_books_hold()


class _Full(set[object]):
    def __len__(self) -> int:
        return 2_000
