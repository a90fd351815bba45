"""The API as a bare ASGI application over the table of operations.

One request: find the operation, who calls, how fast, read the parameters, the key's earlier answer,
the handler, the answer. In that order; a request refused on the way has changed nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Annotated, Any, Final

import msgspec

from tillgate.kernel.errors import FieldRefused, Kind, Refusal
from tillgate.kernel.ids import new_id
from tillgate.runtime import logs
from tillgate.runtime.db import CommitUnknown
from tillgate.runtime.idempotency import TRANSIENT, Claimed, Claims, KeyTaken, Stored
from tillgate.web.answering import send_whole
from tillgate.web.auth import KeyMayNot, KeyRing, OtherAccount
from tillgate.web.expansion import Expander
from tillgate.web.listing import filters_of
from tillgate.web.operation import SEARCH, Answer, Call, Handled, Operation, Table, answer_of
from tillgate.web.params import read_body, read_form
from tillgate.web.reading import read
from tillgate.web.refusals import (
    BodyCutOff,
    BodyTooLarge,
    SearchNotOffered,
    UnknownMethod,
    UnknownPath,
    render_failure,
    render_refusal,
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
#: Hear about every answer: operation (None: not found), status, seconds.
Observe = Callable[[Operation | None, int, float], None]
#: What is to be done for a request.
Work = Callable[[], Awaitable[Handled]]

#: How long to wait before each try to give a key back; a session may have been lost a moment ago, and
#: the server be about to notice.
_RELEASES: Final = (0.0, 0.5)
#: Refusals to say anything about a key.
_BUSY: Final = frozenset({Kind.UNAVAILABLE, Kind.RATE_LIMITED})
API_VERSION: Final = "2026-10-28.endive"
_Paths = Annotated[list[str], msgspec.Meta(max_length=20)]
_log = logging.getLogger("tillgate.api")
_encode = msgspec.json.Encoder().encode
_hashable = msgspec.json.Encoder(order="sorted").encode
_ALWAYS: Final = (
    (b"content-type", b"application/json"),
    (b"stripe-version", API_VERSION.encode()),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


class Api:
    """Answers requests under /v1."""

    def __init__(
        self,
        table: Table,
        keys: KeyRing,
        claims: Claims,
        *,
        expand: Expander,
        max_body_bytes: int,
        observe: Observe | None = None,
    ) -> None:
        self.table = table
        self.keys = keys
        self.claims = claims
        self.expand = expand
        self._max_body_bytes = max_body_bytes
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        request_id = new_id("req")
        headers = _headers(scope)
        found = self.table.find(scope["method"], scope["path"])
        row = None if isinstance(found, set) else found[0]
        call: Call | None = None
        try:
            if isinstance(found, set):
                raise self._not_found(scope, found)
            call = Call(found[0], found[1], request_id)
            answer = await self._answer(call, scope, headers, receive)
        except Refusal as refusal:
            answer = _refused(refusal, request_id)
        except Exception:  # noqa: BLE001  the edge: whatever it was, the caller hears its request id
            _log.exception("request %s failed: %s", request_id, row.name if row else "")
            answer = Answer(*render_failure(request_id))
        await _send(scope, send, request_id, call, answer)
        self._report(scope, call, row, answer, time.perf_counter() - started, request_id)

    async def _answer(
        self, call: Call, scope: Scope, headers: dict[bytes, bytes], receive: Receive
    ) -> Answer:
        call.caller = await self.keys.caller(headers.get(b"authorization"))
        if call.caller.kind == "publishable" and not call.operation.publishable:
            raise KeyMayNot
        account = headers.get(b"stripe-account")
        if account is not None and account.decode("latin-1") != call.caller.account:
            raise OtherAccount
        call.path = scope["path"]
        client = scope.get("client")
        call.client_ip = client[0] if client else None
        body = await self._read(call, scope, headers, receive)
        handled = await self._handled(call, body)
        if isinstance(handled, Answer):
            return await self._expanded(call, handled)
        return await self._shown(call, handled)

    async def _read(
        self, call: Call, scope: Scope, headers: dict[bytes, bytes], receive: Receive
    ) -> msgspec.Struct:
        """Return the request's parameters as the operation's Struct."""
        method = call.operation.method
        if method == "POST":
            raw = await _receive_body(receive, headers, self._max_body_bytes)
            tree = read_body(raw, headers.get(b"content-type", b""))
        else:
            tree = read_form(_query(scope))
        if "expand" in tree:
            call.expand = _read_expand(tree.pop("expand"))
            self.expand.check(call.operation.answer, call.expand)
            if call.expand and call.caller.kind == "publishable":
                raise KeyMayNot  # what is expanded has no client_secret of its own
        body = read(tree, call.operation.request)
        if method == "POST":
            _note_key(call, headers, body)
        return body

    async def _handled(self, call: Call, body: msgspec.Struct) -> Handled:
        """Run the handler; under a key, where it needs several transactions, one of which takes it."""
        row = call.operation
        if row.resume is None or call.idempotency_key is None:
            return await row.handler(call, body)
        work: Work = partial(row.handler, call, body)
        if row.takes_key:
            try:
                answer = await self._shown(call, await work())
            except KeyTaken:
                pass  # what its earlier use was is found out by claiming it
            except Exception as failure:  # noqa: BLE001  it is raised again, if the key is ours
                # Perhaps it failed only because it had been done: the key's earlier use comes first.
                if not isinstance(failure, Refusal):
                    _log.warning("request %s failed", call.request_id, exc_info=failure)
                work = partial(_fail, failure)
            else:
                return await self._kept(call, answer)
        held = await self._claim(call)
        if isinstance(held, Stored):
            call.expand = []  # it was kept as it was given
            return answer_of(held)
        call.is_held = True
        if held.object_id is not None:
            work = partial(row.resume, call, held.object_id)
        try:
            answer = await self._worked(call, work)
        except Exception:
            await self._let_go(call)
            raise
        return await self._kept(call, answer)

    async def _claim(self, call: Call) -> Stored | Claimed:
        try:
            return await self.claims.claim(call.asked)
        except Refusal as refusal:
            is_unknown = call.operation.takes_key and refusal.kind in _BUSY
            if is_unknown or isinstance(refusal, CommitUnknown):
                await self._let_go(call)  # it may be ours, and nobody works on it
            raise

    async def _worked(self, call: Call, work: Work) -> Answer:
        """Return the answer to be stored under a claimed key; raise where there is none.

        A failure of ours is never such an answer: a card may have been charged before it.
        """
        try:
            return await self._shown(call, await work())
        except Refusal as refusal:
            if refusal.kind in TRANSIENT:
                raise
            return _refused(refusal, call.request_id)

    async def _shown(self, call: Call, handled: Handled) -> Answer:
        if isinstance(handled, Answer):
            return handled
        rendered = _encode(handled)
        return Answer(200, await self.expand(call, rendered) if call.expand else rendered)

    async def _kept(self, call: Call, answer: Answer) -> Answer:
        """Store the answer, under a key that is ours."""
        try:
            await self.claims.finish(call.asked, Stored(answer.status, answer.body))
        except Exception:
            # Something has come of it all the same: whoever asks again finds the truth.
            await self._let_go(call)
            raise
        call.expand = []
        return answer

    async def _let_go(self, call: Call) -> None:
        """Give a claimed key back."""
        for seconds in _RELEASES:
            await asyncio.sleep(seconds)
            try:
                await self.claims.release(call.asked)
            except Refusal as refusal:
                _log.warning("a key is still claimed, and will be abandoned: %s", refusal.message)
            else:
                return

    async def _expanded(self, call: Call, answer: Answer) -> Answer:
        """Expand what a lane has answered, and keep the answer as it is given.

        One that was given before is expanded already, unless its process died before it could keep
        it so: then the first repetition does.
        """
        if call.expand and answer.status == 200:
            stored, answer.body = answer.body, await self.expand(call, answer.body)
            if call.idempotency_key is not None and answer.body != stored:
                answer.body = await self.claims.replace(call.asked, stored, answer.body)
        return answer

    def _not_found(self, scope: Scope, allowed: set[str]) -> Refusal:
        method, path = scope["method"], scope["path"]
        if allowed:
            return UnknownMethod(method, path, ", ".join(sorted(allowed)))
        listed = path.removesuffix(f"/{SEARCH}")
        found = self.table.find("GET", listed)
        if listed != path and not isinstance(found, set):
            filters = filters_of(found[0].request)
            if filters:
                return SearchNotOffered(method, path, listed, ", ".join(filters))
        return UnknownPath(method, path)

    def _report(
        self,
        scope: Scope,
        call: Call | None,
        row: Operation | None,
        answer: Answer,
        seconds: float,
        request_id: str,
    ) -> None:
        if self._observe is not None:
            self._observe(row, answer.status, seconds)
        logs.say(
            _log,
            "request",
            {
                "request.id": request_id,
                "http.method": scope["method"],
                "http.route": row.path if row else None,
                "operation": row.name if row else None,
                "http.status": answer.status,
                "duration_ms": round(seconds * 1000, 1),
                "merchant": call.caller.merchant_id if call else None,
            },
        )


def _headers(scope: Scope) -> dict[bytes, bytes]:
    return dict(scope["headers"])


def _query(scope: Scope) -> str:
    return scope["query_string"].decode("latin-1")


def _read_expand(value: object) -> list[str]:
    try:
        return msgspec.convert([value] if isinstance(value, str) else value, _Paths)
    except msgspec.ValidationError:
        raise FieldRefused("expand", "expand is a list of up to 20 property names.") from None


def _note_key(call: Call, headers: dict[bytes, bytes], body: msgspec.Struct) -> None:
    key = headers.get(b"idempotency-key")
    if not key:
        return
    if len(key) > 255:
        raise FieldRefused("Idempotency-Key", "Idempotency-Key has at most 255 characters.")
    call.idempotency_key = key.decode("latin-1")
    if call.caller.kind == "publishable":
        call.kept_key = _key_of_browser(call.idempotency_key, body)
    digest = hashlib.sha256(call.path.encode("utf-8", "replace"))
    digest.update(_hashable((type(body).__name__, body, call.expand)))
    call.request_hash = digest.digest()


def _key_of_browser(key: str, body: msgspec.Struct) -> str:
    """Return under what a key is kept that came with a publishable key, which anybody may have.

    It is none of the shop's keys (a header has no such letter), nor of whoever does not know the same
    client_secret: so a stored answer is given only to those who may read what is in it.
    """
    secret: str | None = getattr(body, "client_secret", None)
    return "pk→" + hashlib.sha256(_hashable((secret, key))).hexdigest()


async def _receive_body(receive: Receive, headers: dict[bytes, bytes], limit: int) -> bytes:
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or int(length) > limit:
        raise BodyTooLarge(limit)
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            # Half of a request may be a valid one, for another amount.
            raise BodyCutOff
        body += message.get("body", b"")
        if len(body) > limit:
            raise BodyTooLarge(limit)
        if not message.get("more_body"):
            return body


def _refused(refusal: Refusal, request_id: str) -> Answer:
    status, body = render_refusal(refusal, request_id)
    return Answer(status, body, should_retry=True if status in {429, 503} else None)


async def _fail(failure: Exception) -> Handled:
    """Work that has failed already."""
    raise failure


async def _send(
    scope: Scope, send: Send, request_id: str, call: Call | None, answer: Answer
) -> None:
    headers = [(b"request-id", request_id.encode()), *_ALWAYS]
    if call is not None and call.idempotency_key is not None:
        headers.append((b"idempotency-key", call.idempotency_key.encode("latin-1")))
        if answer.original_request is not None:
            headers.append((b"idempotent-replayed", b"true"))
            headers.append((b"original-request", answer.original_request.encode()))
    if answer.should_retry is not None:
        headers.append((b"stripe-should-retry", b"true" if answer.should_retry else b"false"))
    if answer.status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="Tillgate"'))
    await send_whole(scope, send, answer.status, headers, answer.body)
