"""Requests whose process died before it could store the answer, finished by looking up the truth.

A repetition by the caller does the same at once; this is for keys nobody asks about again, so that
a late repetition finds its answer: the one it would have been given, with what it had expanded.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import msgspec

from tillgate.kernel.errors import Refusal
from tillgate.runtime.idempotency import TRANSIENT, Asked, ClaimLost, Stored, request_of
from tillgate.web.application import Api
from tillgate.web.auth import Caller
from tillgate.web.operation import Answer, Call, Resume
from tillgate.web.refusals import render_refusal
from tillgate.webhooks.event import is_live

_log = logging.getLogger("tillgate.api")
_encode = msgspec.json.Encoder().encode

_CREATES: Final = {"pi": "post_payment_intents", "re": "post_refunds", "top": "post_top_ups"}


#: Requests finished at a time.
AT_ONCE: Final = 8


class Recovery:
    """Finishes abandoned requests."""

    def __init__(self, api: Api) -> None:
        self._rows = api.table.by_name
        self._expand = api.expand
        self._claims = api.claims

    async def run(self, limit: int = AT_ONCE) -> int:
        """Finish some; return how many there were.

        All at once: one that came late in a row would have been taken over again by then.
        """
        found = await self._claims.abandoned(limit)
        await asyncio.gather(*(self._finish(asked, object_id) for asked, object_id in found))
        return len(found)

    async def _finish(self, asked: Asked, object_id: str) -> None:
        # Claims of an older version do not say what was asked.
        name = asked.operation or _CREATES.get(object_id.partition("_")[0], "")
        row = self._rows.get(name)
        if row is None or row.resume is None:
            _log.error("an abandoned request on %s is of no operation we know: %r", object_id, name)
            return
        call = Call(row, [object_id], request_of(asked.request_id))
        call.idempotency_key = asked.key
        call.expand = list(asked.expand)
        call.caller = Caller(
            asked.merchant_id, "", livemode=is_live(asked.merchant_id), key_id="", kind="secret"
        )
        try:
            answer = await self._answered(call, row.resume, object_id)
        except Refusal as refusal:
            if refusal.kind in TRANSIENT:
                return  # it is abandoned again after a while
            answer = Answer(*render_refusal(refusal, call.request_id))
        except Exception:  # noqa: BLE001  one that cannot be finished must not hold up the others
            _log.exception("an abandoned request on %s could not be finished", object_id)
            return
        try:
            await self._claims.finish(asked, Stored(answer.status, answer.body))
        except ClaimLost:
            _log.warning("an abandoned request on %s was taken over by a repetition", object_id)

    async def _answered(self, call: Call, resume: Resume, object_id: str) -> Answer:
        handled = await resume(call, object_id)
        if isinstance(handled, Answer):
            return handled
        rendered = _encode(handled)
        return Answer(200, await self._expand(call, rendered) if call.expand else rendered)
