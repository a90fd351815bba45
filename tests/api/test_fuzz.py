"""Bad input, drawn from the OpenAPI: no 5xx, nothing changed by a refusal, the parameter named."""

import asyncio
import os
import random
import warnings
from typing import Any
from urllib.parse import unquote_plus

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case

from tests.api.test_wallets import _filled
from tests.serving import Client, names_its_parameter

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "12"))
#: Refusals that leave everything as it was; a decline (402) is written down.
REFUSED = {400, 401, 403, 404, 409, 413, 429}
#: Not what the merchant's requests are about: answers under keys, and the providers' notices.
_DIGEST = """
    SELECT md5(string_agg(part, '' ORDER BY part)) FROM (
        SELECT c.oid::regclass::text || (xpath('/row/d/text()', query_to_xml(format(
            'SELECT md5(string_agg(t::text, '''' ORDER BY t::text)) AS d FROM %s t', c.oid::regclass
        ), true, true, '')))[1]::text AS part
        FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace::regnamespace::text IN
            ('merchants', 'customers', 'ledger', 'wallets', 'payments', 'topups', 'webhooks')
        UNION ALL
        SELECT 'facts' || count(*) FROM runtime.facts) parts
"""


async def test_no_input_breaks_it_or_changes_what_is_refused(client, db, world) -> None:
    pool = await _known(client, world)
    loop = asyncio.get_running_loop()

    async def digest() -> str:
        async with db.transaction(readonly=True) as tx:
            return await tx.value(_DIGEST)

    def digest_now() -> str:
        return asyncio.run_coroutine_threadsafe(digest(), loop).result(30)

    document = (await client.get("/openapi.json")).json
    fuzz = _Fuzz(client, pool, digest_now)
    answered = await asyncio.to_thread(fuzz.run, document)

    assert answered[200] > 50, "the fuzzing reached the rooms"
    assert sum(answered[status] for status in REFUSED) > 200
    await world.assert_books_hold()


async def _known(client, world) -> dict[str, str]:
    """Return ids that exist, by the name of their path parameter."""
    wallet = await _filled(client, world)
    card = {"amount": 900, "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"}
    intent = (await client.post("/v1/payment_intents", card)).json
    held = await client.post(f"/v1/wallets/{wallet['id']}/holds", {"amount": 10, "currency": "cny"})
    endpoint = {"url": "http://127.0.0.1:9/hooks", "enabled_events[]": "*"}
    refund = (
        await client.post("/v1/refunds", {"charge": intent["latest_charge"], "amount": 1})
    ).json
    return {
        "customer": wallet["customer"],
        "wallet": wallet["id"],
        "hold": held.json["id"],
        "intent": intent["id"],
        "charge": intent["latest_charge"],
        "refund": refund["id"],
        "top_up": wallet["top_up"],
        "webhook_endpoint": (await client.post("/v1/webhook_endpoints", endpoint)).json["id"],
        "event": (await client.get("/v1/events")).json["data"][0]["id"],
        "account": "la_00000001",
    }


class _Fuzz:
    """Sends drawn cases and looks at what came of each."""

    def __init__(self, client: Client, pool: dict[str, str], digest: Any) -> None:
        self.base = client.base
        self.table = client.table
        self.pool = pool
        self.digest = digest
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {client.key}"
        self.random = random.Random(7)
        self.before = ""
        self.answered = dict.fromkeys([200, 402, *REFUSED], 0)

    def run(self, document: dict[str, Any]) -> dict[int, int]:
        """Try every operation."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            schema = schemathesis.openapi.from_dict(document)
            self.before = self.digest()
            for result in schema.get_all_operations():
                self._operation(result.ok())
        return self.answered

    def _operation(self, operation: Any) -> None:
        @seed(20_261_122)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def attempt(case: Case) -> None:
            self._try(case)

        attempt()

    def _try(self, case: Case) -> None:
        for name in case.path_parameters or {}:
            if name in self.pool and self.random.random() < 0.8:
                case.path_parameters[name] = self.pool[name]
        if case.headers:
            case.headers.pop("Authorization", None)
        answer = case.call(base_url=self.base, session=self.session, timeout=30)
        said = f"{case.method} {case.formatted_path} {case.query} {case.body!r}: {answer.text}"
        assert answer.status_code < 500, said
        assert answer.status_code in self.answered, said
        self.answered[answer.status_code] += 1
        now = self.digest()
        if answer.status_code in REFUSED:
            assert now == self.before, f"a refused request changed something: {said}"
            error = answer.json()["error"]
            assert error["message"], said
            announced = case.operation.definition.raw["responses"].get(str(answer.status_code), {})
            assert error.get("code") in {None, *announced.get("x-codes", [])}, said
            row = self.table.by_name[case.operation.definition.raw["operationId"]]
            sent = unquote_plus(f"{answer.request.url} {answer.request.body!r}")
            assert names_its_parameter(row, answer.status_code, error, sent), said
        self.before = now
