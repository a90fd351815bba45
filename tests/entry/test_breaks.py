"""`tillgate breaks`: a mismatched payment is settled without a line of SQL."""

import asyncio
import json
from typing import Any

from tests.entry.processes import tillgate
from tests.hard_cases.deeds import attempts, raw_notice
from tests.payments.conftest import keys_file, world
from tests.worlds import World
from tillgate.connectors import port
from tillgate.kernel.money import CNY, Money
from tillgate.payments.model import Payment

__all__ = ["keys_file", "world"]


async def run(environment: dict[str, str], *words: str) -> tuple[int, Any]:
    done = await asyncio.to_thread(tillgate, environment, "breaks", *words, "--json")
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


async def test_a_mismatched_payment_is_settled(environment: dict[str, str], world: World) -> None:
    payment = await world.pay("wechat_pay", 4011)
    await world.phone_pays("wechat_pay", payment)

    async def listed() -> bool:
        return len((await run(environment, "list"))[1]) == 1

    await world.until(listed, sweep=True)
    [found] = (await run(environment, "list"))[1]
    assert (found["kind"], found["attempt_id"]) == ("amount", payment.latest_attempt)
    assert found["ours"]["amount"] == 4011
    assert found["theirs"]["amount"] != 4011

    code, asked = await run(environment, "ask", found["id"])
    assert (code, asked["id"]) == (0, found["id"])
    code, told = await run(environment, "resolve", found["id"], "--note", "looked at it")
    assert code == 1
    assert "--returned" in told
    note = "9.90 paid for 10.00; refunded in their console. Li"
    code, done = await run(environment, "resolve", found["id"], "--note", note, "--returned")
    assert (code, done["resolution"]) == (0, note)

    assert (await run(environment, "list"))[1] == []
    assert [one["id"] for one in (await run(environment, "list", "--all"))[1]] == [found["id"]]
    assert (await run(environment, "resolve", found["id"], "--note", "again"))[0] == 1
    assert (await run(environment, "ask", "brk_none"))[0] == 1
    await world.sweep()
    assert (await world.payment(payment.id)).status == "canceled"
    assert [one.status for one in await attempts(world, payment)] == ["returned"]
    assert (await world.facts(payment.id))[-1] == "payment.canceled"
    await _told_again(world, payment, found["theirs"])
    assert [one.status for one in await attempts(world, payment)] == ["returned"]
    assert (await world.facts(payment.id))[-1] == "payment.canceled"
    assert (await run(environment, "list"))[1] == []
    await world.assert_books_hold()


async def _told_again(world: World, payment: Payment, theirs: dict[str, Any]) -> None:
    """A provider repeats its notices for a day; nobody settles the same thing twice."""
    [attempt] = await attempts(world, payment)
    told = port.Paid(theirs["reference"], Money(theirs["amount"], CNY), account=theirs["account"])
    notice = port.AttemptNotice(attempt.id, told)
    await world.payments.notices._hear(
        raw_notice(world, "pa_wechat_pay"), notice, theirs["account"]
    )
