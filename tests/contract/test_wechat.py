"""What is WeChat Pay's own: call-ups, certificates, bills, its SDK as a peer."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from wechatpayv3.utils import rsa_verify

from simulators.common.faults import FaultKind
from simulators.common.http import Request, Response
from simulators.keys import open_keys
from tests.contract.worlds import CLOCK, World
from tillgate.connectors.port import (
    BadNotice,
    Bill,
    Billing,
    BillUnavailable,
    Closed,
    Connector,
    Declined,
    KeyUnknown,
    NotFound,
    Notifying,
    NotSent,
    OpenApp,
    Paid,
    Redirect,
    RefreshingKeys,
    Refunded,
    RefundFailed,
    RefundPending,
    Unknown,
    Waiting,
)
from tillgate.connectors.registry import build
from tillgate.connectors.wechat.wire import BEIJING

CERTIFICATES_ONLY = {"public_key": None, "public_key_id": None}


@pytest.fixture
def provider() -> str:
    return "wechat_pay"


def _other(world: World, **change: Any) -> Connector:
    return build("wechat_pay", {**world.account, **change}, world.transport)


@pytest.mark.parametrize("presentation", ["jsapi", "app"])
async def test_a_call_up_is_signed_as_the_phone_checks_it(world: World, presentation: Any) -> None:
    charge = world.charge_of(presentation=presentation, openid="oUpF8uMuAJO_M2pxb1Q9zNjWeS6o")

    outcome = await world.charge(charge)

    assert isinstance(outcome, Waiting)
    assert isinstance(outcome.step, OpenApp)
    told = dict(outcome.step.parameters)
    assert world.simulator.scan(json.dumps(told)) is not None
    assert world.simulator.scan(json.dumps({**told, "nonceStr": "other"})) is None
    world.pay(charge)
    assert isinstance(await world.look_up(charge), Paid)


async def test_a_mobile_browser_is_sent_there_and_back(world: World) -> None:
    charge = world.charge_of(presentation="h5", client_ip="203.0.113.7")

    outcome = await world.charge(charge)

    assert isinstance(outcome, Waiting)
    assert isinstance(outcome.step, Redirect)
    assert "redirect_url=https%3A%2F%2Fteahouse.test%2Fback" in outcome.step.url
    assert outcome.step.expires_at is not None
    assert outcome.step.expires_at - CLOCK.now() <= timedelta(minutes=5)


@pytest.mark.parametrize("presentation", ["jsapi", "h5"])
async def test_what_a_presentation_needs_is_asked_before_sending(
    world: World, presentation: Any
) -> None:
    outcome = await world.charge(world.charge_of(presentation=presentation))

    assert isinstance(outcome, NotSent)


async def test_with_certificates_only_they_are_fetched_when_first_needed(world: World) -> None:
    connector = _other(world, **CERTIFICATES_ONLY)
    charge = world.charge_of()

    outcome = await connector.charge(charge, now=CLOCK.now())

    assert isinstance(outcome, Waiting)


async def test_a_notice_with_an_unknown_certificate_is_read_once_keys_are_fetched(
    world: World,
) -> None:
    made = _other(world, **CERTIFICATES_ONLY)
    charge = world.charge_of()
    await made.charge(charge, now=CLOCK.now())
    world.pay(charge)
    await world.simulator.sender.settle()
    fresh = _other(world, **CERTIFICATES_ONLY)
    assert isinstance(fresh, Notifying)
    assert isinstance(fresh, RefreshingKeys)
    headers, body = world.ear.heard[0]

    with pytest.raises(KeyUnknown):
        fresh.read_notice(headers, body, now=CLOCK.now())
    await fresh.refresh_keys(now=CLOCK.now())

    assert fresh.read_notice(headers, body, now=CLOCK.now())
    with pytest.raises(BadNotice):
        fresh.read_notice(headers, body, now=CLOCK.now() + timedelta(seconds=301))
    signature = headers["wechatpay-signature"]
    probe = {**headers, "wechatpay-signature": "WECHATPAY/SIGNTEST/" + signature}
    with pytest.raises(BadNotice):
        fresh.read_notice(probe, body, now=CLOCK.now())


async def test_without_any_certificate_no_answer_is_believed(world: World) -> None:
    connector = _other(world, **CERTIFICATES_ONLY)
    world.strike(FaultKind.REFUSE, "*certificates*", times=9)

    outcome = await connector.charge(world.charge_of(), now=CLOCK.now())

    assert isinstance(outcome, Unknown)


async def test_a_certificate_sealed_with_another_key_is_not_learned(world: World) -> None:
    connector = _other(world, **CERTIFICATES_ONLY, apiv3_key="z" * 32)

    outcome = await connector.charge(world.charge_of(), now=CLOCK.now())

    assert isinstance(outcome, Unknown)


async def test_a_stale_answer_is_not_believed(world: World) -> None:
    charge = world.charge_of()
    await world.charge(charge)
    world.simulator.clock.offset_seconds = -200

    assert isinstance(await world.look_up(charge), Waiting)
    world.simulator.clock.offset_seconds = -310
    found = await world.look_up(charge)
    assert isinstance(found, Unknown), "we are more than five minutes apart"


async def test_a_wrong_signature_of_ours_is_refused_unprocessed(
    world: World, keys_file: Path
) -> None:
    wrong = open_keys(keys_file).merchants[0].alipay.app.private
    connector = _other(world, merchant_private_key=wrong)

    outcome = await connector.charge(world.charge_of(), now=CLOCK.now())

    assert outcome == NotSent("refused unprocessed: SIGN_ERROR")


async def test_another_order_under_the_same_number_is_unknown(world: World) -> None:
    charge = world.charge_of(1230)
    other = world.charge_of(9990, attempt_id=charge.attempt_id)
    await world.charge(charge)

    outcome = await world.charge(other)

    assert isinstance(outcome, Unknown)
    assert "OUT_TRADE_NO_USED" in outcome.reason


async def test_a_closed_order_is_declined_when_made_again(world: World) -> None:
    charge = world.charge_of()
    await world.charge(charge)
    assert await world.close(charge) == Closed()

    outcome = await world.charge(charge)

    assert isinstance(outcome, Declined)
    assert outcome.code == "order_closed"


async def test_closing_an_order_never_made_is_not_found(world: World) -> None:
    charge = world.charge_of()
    world.opened[charge.attempt_id] = CLOCK.now()

    assert await world.close(charge) == NotFound()


@pytest.mark.parametrize(("state", "kind"), [("abnormal", RefundFailed), ("closed", RefundFailed)])
async def test_a_refund_that_comes_to_a_bad_end_is_told(
    world: World, state: str, kind: type
) -> None:
    charge, paid = await world.paid(4023)
    order = world.refund_of(charge, paid, 500)
    assert isinstance(await world.refund(order), RefundPending)

    world.simulator.finish_refund(order.refund_id, state)

    assert isinstance(await world.look_up_refund(order), kind)


async def test_the_same_refund_number_with_another_amount_is_unknown(world: World) -> None:
    charge, paid = await world.paid(1000)
    order = world.refund_of(charge, paid, 300)
    assert isinstance(await world.refund(order), Refunded | RefundPending)
    other = world.refund_of(charge, paid, 400)
    forged = type(order)(**{**_fields(other), "refund_id": order.refund_id})

    assert isinstance(await world.refund(forged), Unknown)


def _fields(order: Any) -> dict[str, Any]:
    return {name: getattr(order, name) for name in type(order).__slots__}


@pytest.mark.parametrize("kind", ["trade", "fundflow"])
async def test_a_bill_is_downloaded_and_matches_its_digest(world: World, kind: str) -> None:
    charge, paid = await world.paid()
    today = CLOCK.now().astimezone(BEIJING).date()
    assert isinstance(world.connector, Billing)
    connector = world.connector

    early = await connector.bill(today, kind, now=CLOCK.now())
    world.simulator.clock.offset_seconds = 36 * 3600
    later = CLOCK.now() + timedelta(hours=36)
    found = await connector.bill(today, kind, now=later)
    none = await connector.bill(today - timedelta(days=9), kind, now=later)

    assert isinstance(early, BillUnavailable)
    assert early.retry
    assert isinstance(none, BillUnavailable)
    assert not none.retry
    assert isinstance(found, list)
    rows = cast(list[Bill], found)[0].content.decode("utf-8-sig")
    assert (charge.attempt_id if kind == "trade" else paid.reference) in rows


async def test_a_bill_that_differs_from_its_digest_is_not_taken(world: World) -> None:
    await world.paid()
    today = CLOCK.now().astimezone(BEIJING).date()
    world.simulator.clock.offset_seconds = 36 * 3600
    _spoil_downloads(world)
    assert isinstance(world.connector, Billing)

    found = await world.connector.bill(today, "trade", now=CLOCK.now() + timedelta(hours=36))

    assert found == BillUnavailable("the bill differs from its digest", retry=True)


def _spoil_downloads(world: World) -> None:
    honest = world.simulator.handle_api

    def spoiled(request: Request) -> Any:
        answer = honest(request)
        if request.path.startswith("/v3/billdownload") and isinstance(answer, Response):
            return Response(answer.status, answer.body + b" ", answer.headers)
        return answer

    world.simulator.handle_api = spoiled  # pyright: ignore[reportAttributeAccessIssue]


async def test_its_sdk_verifies_the_requests_we_send(world: World) -> None:
    seen: list[Request] = []
    honest = world.simulator.handle_api

    def watching(request: Request) -> Any:
        seen.append(request)
        return honest(request)

    world.simulator.handle_api = watching  # pyright: ignore[reportAttributeAccessIssue]
    charge = world.charge_of(description="茶 & cake")
    await world.charge(charge)
    await world.look_up(charge)
    await world.close(charge)

    key = load_pem_public_key(_merchant_public_key(world).encode())
    assert isinstance(key, RSAPublicKey)
    assert [each.method for each in seen] == ["POST", "GET", "POST"]
    for request in seen:
        header = request.headers["authorization"].partition(" ")[2]
        fields = {
            name: value.strip('"')
            for name, _, value in (part.partition("=") for part in header.split(","))
        }
        # The SDK's verifier joins three lines; a request has two more before them.
        rest = f"{fields['timestamp']}\n{fields['nonce_str']}\n{request.body.decode()}"
        assert rsa_verify(request.method, request.target, rest, fields["signature"], key)
        assert not rsa_verify("PUT", request.target, rest, fields["signature"], key)


def _merchant_public_key(world: World) -> str:
    merchants: Any = world.simulator
    return next(iter(merchants.merchants.values())).account.merchant.public
