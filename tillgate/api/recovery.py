"""Requests whose process died before it could store the answer, finished by looking up the truth.

A repetition by the caller does the same at once; this is for keys nobody asks about again, so that
a late repetition finds its answer. What is expanded is not known any more, so nothing is.
"""

from __future__ import annotations

import logging

import msgspec

from tillgate.kernel.clock import Clock
from tillgate.kernel.errors import Refusal
from tillgate.payments.flows import Payments
from tillgate.payments.routes import Routes as PaymentRoutes
from tillgate.runtime.db import Database
from tillgate.runtime.idempotency import TRANSIENT, Asked, Claims, Stored
from tillgate.topups.flows import TopUps
from tillgate.topups.routes import Routes as TopUpRoutes
from tillgate.web.auth import Caller
from tillgate.web.operation import Answer, Call, Operation, Resume
from tillgate.web.refusals import render_refusal
from tillgate.webhooks.event import is_live

_log = logging.getLogger("tillgate.api")
_encode = msgspec.json.Encoder().encode


class Recovery:
    """Finishes abandoned requests."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        payments: Payments,
        top_ups: TopUps,
        *,
        abandoned_after_seconds: float,
    ) -> None:
        self._claims = Claims(db, clock, abandoned_after_seconds=abandoned_after_seconds)
        intents, orders = PaymentRoutes(payments), TopUpRoutes(payments, top_ups)
        creating = [row for row in (*intents.operations(), *orders.operations()) if row.resume]
        rows = {row.path: row for row in creating}
        #: By the prefix of the object: how its state is shown as an answer.
        self._resumes: dict[str, tuple[Operation, Resume]] = {
            "pi": (rows["/v1/payment_intents"], intents.resume),
            "re": (rows["/v1/refunds"], intents.resume_refund),
            "top": (rows["/v1/top_ups"], orders.resume),
        }

    async def run(self, limit: int = 50) -> int:
        """Finish some; return how many there were."""
        found = await self._claims.abandoned(limit)
        for asked, object_id in found:
            await self._finish(asked, object_id)
        return len(found)

    async def _finish(self, asked: Asked, object_id: str) -> None:
        row, resume = self._resumes[object_id.partition("_")[0]]
        call = Call(row, [object_id], asked.request_id)
        call.idempotency_key = asked.key
        call.caller = Caller(
            asked.merchant_id, "", livemode=is_live(asked.merchant_id), key_id="", kind="secret"
        )
        try:
            handled = await resume(call, object_id)
        except Refusal as refusal:
            if refusal.kind in TRANSIENT:
                return  # it is abandoned again after a while
            handled = Answer(*render_refusal(refusal, asked.request_id))
        except Exception:  # noqa: BLE001  one that cannot be finished must not hold up the others
            _log.exception("an abandoned request on %s could not be finished", object_id)
            return
        answer = handled if isinstance(handled, Answer) else Answer(200, _encode(handled))
        await self._claims.finish(asked, Stored(answer.status, answer.body))
