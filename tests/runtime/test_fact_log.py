"""Pages of facts: by name, of an object, in both directions, each the same as filtering all."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest

from tillgate.kernel.facts import Fact
from tillgate.kernel.ids import new_id
from tillgate.kernel.paging import Page
from tillgate.runtime import fact_log, outbox
from tillgate.runtime.db import BY_INDEX, Database

TEAHOUSE, BAKERY = 2, 4
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
NAMES = ["payment.created", "payment.succeeded", "refund.created"]


@pytest.fixture
async def db(app_db_url: str) -> AsyncGenerator[Database]:
    database = await Database.open(app_db_url, size=2, settings=BY_INDEX)
    yield database
    await database.close()


@pytest.fixture
async def facts(db: Database) -> list[Fact]:
    """Thirty facts, newest first; another merchant's are among them."""
    made = [
        Fact(
            merchant_id=TEAHOUSE if number % 5 else BAKERY,
            id=new_id("evt"),
            name=NAMES[2] if number in {7, 22} else NAMES[number % 2],
            object_id=f"pi_{number % 4}",
            sequence=number,
            data=b"{}",
            at=NOON,
            request_id=None,
            idempotency_key=None,
        )
        for number in range(30)
    ]
    async with db.transaction() as tx:
        outbox.publish(tx, made)
    return [fact for fact in reversed(made) if fact.merchant_id == TEAHOUSE]


@pytest.mark.parametrize("object_id", [None, "pi_3"])
@pytest.mark.parametrize("names", [NAMES, NAMES[1:], NAMES[2:], ["customer.deleted"], []])
@pytest.mark.parametrize("direction", ["after", "before"])
@pytest.mark.parametrize("nearly_all", [True, False])
async def test_a_page_is_what_filtering_all_gives(
    db: Database,
    facts: list[Fact],
    object_id: str | None,
    names: list[str],
    direction: str,
    nearly_all: bool,  # noqa: FBT001
) -> None:
    cursor = facts[11].id
    fitting = [one.id for one in facts if one.name in names and object_id in {None, one.object_id}]
    if direction == "after":
        page = Page(limit=4, after=cursor)
        wanted = [one for one in fitting if one < cursor]
        expected, more = wanted[:4], len(wanted) > 4
    else:
        page = Page(limit=4, before=cursor)
        wanted = [one for one in fitting if one > cursor]
        expected, more = wanted[-4:], len(wanted) > 4

    async with db.transaction(readonly=True) as tx:
        found = await fact_log.select_page(
            tx, TEAHOUSE, page, names=names, object_id=object_id, nearly_all=nearly_all
        )

    assert ([one.id for one in found.data], found.has_more) == (expected, more)
