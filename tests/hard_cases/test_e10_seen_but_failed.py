"""Case 10: a notice whose effect failed is not "seen": it is applied again until it has worked."""

import gc

import asyncpg
import pytest

from tests.hard_cases.deeds import simulator
from tests.worlds import World


async def test_notice_whose_commit_failed_is_applied_later(world: World) -> None:
    payment = await world.pay("wechat_pay")
    commits = 0

    async def fail_the_first() -> None:
        nonlocal commits
        commits += 1
        if commits == 1:  # it gives the notice its effect, the second stores it for later
            raise asyncpg.ConnectionDoesNotExistError("the server went away")

    world.db.before_commit = fail_the_first
    await world.phone_pays("wechat_pay", payment)
    await simulator(world, "wechat_pay").sender.settle()
    await world.payments.finish()
    world.db.before_commit = None
    assert commits >= 2
    assert await world.balance(world.wallet) == 0

    await world.sweep()

    assert (await world.payment(payment.id)).status == "succeeded"
    assert await world.balance(world.wallet) == 10_000
    await world.assert_books_hold()


async def test_notice_that_could_not_be_stored_is_not_acknowledged(world: World) -> None:
    payment = await world.pay("alipay")
    sender = simulator(world, "alipay").sender

    async def fail() -> None:
        raise asyncpg.ConnectionDoesNotExistError("the server went away")

    world.db.before_commit = fail
    await world.phone_pays("alipay", payment)
    await sender.settle()
    world.db.before_commit = None
    assert sender.acked == 0

    await world.until_paid(payment)  # the provider sends it again
    assert sender.acked == 1


async def test_notice_that_could_not_even_be_put_off_is_left_for_the_worker(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    payment = await world.pay("wechat_pay")
    commits = 0

    async def fail_but_the_second() -> None:
        nonlocal commits
        commits += 1
        if commits != 2:  # that is the one that stores it
            raise ZeroDivisionError

    world.db.before_commit = fail_but_the_second
    await world.phone_pays("wechat_pay", payment)
    await simulator(world, "wechat_pay").sender.settle()
    await world.payments.finish()
    world.db.before_commit = None
    gc.collect()
    assert commits >= 3
    assert "never retrieved" not in caplog.text
    assert "a notice is left for the worker: ZeroDivisionError" in caplog.text

    await world.sweep()

    assert await world.balance(world.wallet) == 10_000
