"""How notices leave: some at a time, in their order, and after what they tell of was answered."""

import asyncio
from collections.abc import Awaitable

from simulators.common.books import Shelf
from simulators.common.clock import Clock
from simulators.common.http import Request, Response, Server
from simulators.common.notices import CONCURRENCY, Notice, NoticeRules, Sender

MANY = CONCURRENCY + 40


async def test_a_slow_merchant_is_asked_so_often_at_once_and_no_more() -> None:
    open_now, most, heard = 0, 0, list[str]()
    go_on = asyncio.Event()

    async def answer(request: Request) -> Response:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        heard.append(request.body.decode())
        await go_on.wait()
        open_now -= 1
        return Response(200)

    def receive(request: Request) -> Awaitable[Response]:
        return answer(request)

    merchant = Server(receive)
    await merchant.start()
    rules = NoticeRules(lambda it, _: ({}, it.id.encode()), lambda status, _: status == 200, ())
    sender = Sender(rules, Shelf(), Clock())
    for number in range(MANY):
        sender.post(_notice(f"{number:03}", merchant.url))
    assert heard == []

    for _ in range(100):
        if len(heard) == CONCURRENCY:
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.02)
    assert len(heard) == CONCURRENCY
    go_on.set()
    await sender.settle()

    assert most == CONCURRENCY
    assert sorted(heard) == [f"{number:03}" for number in range(MANY)]
    assert (sender.sent, sender.acked, sender.unfinished) == (MANY, MANY, {})
    await sender.stop()
    await merchant.stop()


async def test_stopping_leaves_unanswered_notices_unfinished() -> None:
    merchant = Server(lambda _: asyncio.sleep(10, Response()))
    await merchant.start()
    rules = NoticeRules(lambda _it, _: ({}, b""), lambda status, _: status == 200, (1.0,))
    sender = Sender(rules, Shelf(), Clock())
    for number in range(MANY):
        sender.post(_notice(str(number), merchant.url))
    await asyncio.sleep(0.05)

    await sender.stop()
    await asyncio.sleep(0)

    assert len(sender.unfinished) == MANY
    assert (sender.sent, sender.given_up) == (0, 0)
    await merchant.stop()


def _notice(number: str, url: str) -> Notice:
    return Notice(id=number, kind="payment", order_id="o", url=url, payload={}, created_at=0.0)
