"""The control API, under `/_control/` on every simulator's port, for tests and harnesses.

Only loopback callers are let in. Bodies and answers are JSON.

    GET    /                      what it is: seed, speed, rules, outage, clock, notice counts
    GET    /books                 the books: orders, refunds, amounts, states, notice counts
    POST   /reset                 forget all orders, refunds, notices, rules; clock offset 0
    POST   /seed                  {"seed": 7}: start the random sequences again
    POST   /rules                 {"operation", "fault": {"kind", "seconds", "p50", "p99"},
                                  "next": N | "probability": p, "subject": out_trade_no}
    DELETE /rules                 take all rules out of force
    POST   /lose_next_answer      {"operation": "create"}: the next such call acts, then hangs
    POST   /outage                {"seconds": 5}: stop listening at once, listen again later
    POST   /clock                 {"offset_seconds": 400}: move the provider's clock
    GET    /orders/{no}           one order, by the merchant's number or the provider's id
    POST   /orders/{no}/pay       {"late": false}: the payer pays
    POST   /orders/{no}/decline   the payer's bank says no
    POST   /orders/{no}/close     the provider closes the order
    POST   /orders/{no}/notice    {"times": 2}: send the last notice again
    POST   /refunds/{no}/finish   {"state": "success" | "abnormal" | "closed"}
    POST   /bill                  {"missing": [no], "extra": [row], "different": {no: amount},
                                  "is_ready": true: today's bill can be fetched now}
    POST   /settle                answers once the notices under way have been answered

`POST /_control/outage` with `{"seconds": 0}` stops until the process-wide control port
(`python -m simulators --control-port`) says `{"on": false}`; there every call stands under the
provider's name: `/alipay/_control/...`.
"""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from simulators.common.faults import Fault, FaultKind, Rule
from simulators.common.http import Request, Response, json_response
from simulators.common.simulator import NoSuchOrder, Simulator, WrongState

PREFIX: Final = "/_control/"
Body = dict[str, object]


def mount(simulator: Simulator, request: Request) -> Response | Awaitable[Response]:
    """Answer one control call."""
    return control(simulator, request, request.path)


def control(simulator: Simulator, request: Request, path: str) -> Response | Awaitable[Response]:
    """Answer one control call whose path, from `/_control/` on, is given apart."""
    if not is_own_program(request):
        return _refusal(403, "the control API is for loopback programs only")
    parts = path.removeprefix(PREFIX).strip("/").split("/")
    try:
        body = msgspec.json.decode(request.body, type=Body) if request.body else {}
        if request.method == "POST" and parts == ["outage"]:
            return _outage(simulator, body)
        if request.method == "POST" and parts == ["settle"]:
            return _settle(simulator)
        return _shown(_route(simulator, request.method, parts, body))
    except (NoSuchOrder, KeyError) as error:
        return _refusal(404, str(error))
    except WrongState as error:
        return _refusal(409, str(error))
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        return _refusal(400, str(error))


def _route(simulator: Simulator, method: str, parts: list[str], body: Body) -> object:
    match method, parts:
        case "GET", [""]:
            return _about(simulator)
        case "GET", ["books"]:
            return simulator.export() | {"notices": _counts(simulator)}
        case "GET", ["orders", number]:
            return simulator.phone_order(number)
        case "POST", ["orders", number, deed]:
            return _deed(simulator, number, deed, body)
        case "POST", ["refunds", number, "finish"]:
            simulator.finish_refund(number, str(body["state"]))
            return {"ok": True}
        case "POST", [name]:
            return _post(simulator, name, body)
        case "DELETE", ["rules"]:
            simulator.plan.clear()
            return {"ok": True}
        case _:
            raise NoSuchOrder(f"no control call {method} {'/'.join(parts)}")


def _post(simulator: Simulator, name: str, body: Body) -> object:
    try:
        deed = _POSTS[name]
    except KeyError:
        raise NoSuchOrder(f"no control call POST {name}") from None
    deed(simulator, body)
    return {"ok": True}


def _reset(simulator: Simulator, _: Body) -> None:
    simulator.reset()
    simulator.plan.clear()
    simulator.plan.reseed(simulator.plan.seed)
    simulator.sender.clear()
    simulator.clock.offset_seconds = 0.0


def _seed(simulator: Simulator, body: Body) -> None:
    simulator.plan.reseed(msgspec.convert(body["seed"], int))


def _add_rule(simulator: Simulator, body: Body) -> None:
    simulator.plan.add(msgspec.convert(body, Rule))


def _lose_next_answer(simulator: Simulator, body: Body) -> None:
    operation = str(body.get("operation", "*"))
    simulator.plan.add(Rule(operation, Fault(FaultKind.TIMEOUT_AFTER), next=1))


def _set_clock(simulator: Simulator, body: Body) -> None:
    simulator.clock.offset_seconds = msgspec.convert(body["offset_seconds"], float, strict=False)


def _change_bill(simulator: Simulator, body: Body) -> None:
    simulator.change_bill(body)


_POSTS: Final[Mapping[str, Callable[[Simulator, Body], None]]] = {
    "reset": _reset,
    "seed": _seed,
    "rules": _add_rule,
    "lose_next_answer": _lose_next_answer,
    "clock": _set_clock,
    "bill": _change_bill,
}


def _deed(simulator: Simulator, number: str, deed: str, body: Body) -> object:
    match deed:
        case "pay":
            return simulator.pay(number, late=bool(body.get("late", False)))
        case "decline":
            return simulator.decline(number)
        case "close":
            return simulator.close(number)
        case "notice":
            return {"sent": simulator.renotify(number, msgspec.convert(body.get("times", 1), int))}
        case _:
            raise NoSuchOrder(f"no deed {deed}")


async def _outage(simulator: Simulator, body: Body) -> Response:
    """Answer first, then go dark: the caller is connected to the port that closes."""
    if body.get("on") is False:
        await simulator.server.start()
        return _shown({"ok": True})
    seconds = msgspec.convert(body.get("seconds", 0), float, strict=False)
    task = asyncio.ensure_future(_dark(simulator, seconds))
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)
    return _shown({"ok": True})


_TASKS: Final[set[asyncio.Future[None]]] = set()


async def _dark(simulator: Simulator, seconds: float) -> None:
    # The answer to this very call must get away first.
    await asyncio.sleep(0.01)
    await simulator.server.stop()
    if seconds > 0:
        await asyncio.sleep(seconds)
        await simulator.server.start()


async def _settle(simulator: Simulator) -> Response:
    await simulator.sender.settle()
    return _shown({"ok": True})


def _about(simulator: Simulator) -> dict[str, object]:
    return {
        "provider": simulator.name,
        "seed": simulator.plan.seed,
        "speed": simulator.setup.speed,
        "rules": simulator.plan.rules,
        "is_listening": simulator.server.is_listening,
        "clock_offset_seconds": simulator.clock.offset_seconds,
        "notices": _counts(simulator),
    }


def _counts(simulator: Simulator) -> dict[str, int]:
    sender = simulator.sender
    return {
        "sent": sender.sent,
        "acked": sender.acked,
        "lost": sender.lost,
        "given_up": sender.given_up,
        "unfinished": len(sender.unfinished),
    }


def is_own_program(request: Request) -> bool:
    """Whether a program on this machine calls: not another machine, and no page in a browser."""
    try:
        is_near = ipaddress.ip_address(request.peer).is_loopback
    except ValueError:
        return False
    return is_near and "origin" not in request.headers


def _shown(answer: object) -> Response:
    return json_response(msgspec.json.encode(answer))


def _refusal(status: int, message: str) -> Response:
    return json_response(msgspec.json.encode({"error": message}), status)
