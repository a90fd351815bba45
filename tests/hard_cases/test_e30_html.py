"""Case 30: a page of HTML is not an answer, with 500, 502 or 200 above it."""

import pytest

from simulators.common import faults
from simulators.common.faults import FaultKind
from simulators.common.http import Response
from tests.hard_cases.deeds import HASTY, METHODS, attempts, paid, refunds, rule, truth
from tests.serving import Client
from tests.worlds import World


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["http_500_after", "http_500_before", "malformed"])
async def test_page_instead_of_an_answer_is_unknown(world: World, method: str, kind: str) -> None:
    world.payments.look_ups = HASTY
    rule(world, method, "notice", "lost_notice", probability=1.0)
    rule(world, method, "create", kind, next=1)

    payment = await world.pay(method)

    assert [attempt.status for attempt in await attempts(world, payment)] == ["unknown"]
    assert payment.status == "processing"
    assert payment.last_error is None


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("status", [200, 404, 502])
async def test_page_under_any_status_is_unknown_whatever_was_asked(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch, method: str, status: int
) -> None:
    """Something on the way answers: the order, the question about it and its cancellation."""
    page = Response(status, b"<html><h1>Bad Gateway</h1></html>", {"Content-Type": "text/html"})
    monkeypatch.setitem(faults._BEFORE, FaultKind.HTTP_500_BEFORE, page)
    world.payments.look_ups = HASTY
    rule(world, method, "notice", "lost_notice", probability=1.0)
    rule(world, method, "create", "reset_after", next=1)
    for stage in ("query", "close", "other"):
        rule(world, method, stage, "http_500_before", probability=1.0)
    payment = await world.pay(method)

    await world.sweep()
    await client.post(f"/v1/payment_intents/{payment.id}/cancel")
    for _ in range(3):
        await world.sweep()

    shown = (await client.get(f"/v1/payment_intents/{payment.id}")).json
    assert (shown["status"], shown["last_payment_error"]) == ("processing", None)
    assert [attempt.status for attempt in await attempts(world, payment)] == ["unknown"]
    assert "payment.canceled" not in await world.facts(payment.id)


async def test_page_instead_of_a_refund_answer_is_unknown_and_made_once(world: World) -> None:
    payment = await paid(world, "wechat_pay")
    rule(world, "wechat_pay", "refund", "http_500_after", next=1)
    view = await world.refund(payment, 1_000)
    assert view.refund.status == "unknown"

    async def settled() -> bool:
        return [r.status for r in await refunds(world, payment)] == ["succeeded"]

    await world.until(settled, sweep=True)
    assert (await truth(world, "wechat_pay"))[payment.latest_attempt or ""].refunds == (1_000,)
