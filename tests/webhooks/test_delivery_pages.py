"""Pages of deliveries: whatever is asked for, the same as filtering all."""

from itertools import product

import pytest

from tests.webhooks.conftest import TEAHOUSE
from tillgate.kernel.clock import FixedClock
from tillgate.kernel.ids import new_id
from tillgate.kernel.paging import Page
from tillgate.runtime.db import Database
from tillgate.webhooks import queries, store
from tillgate.webhooks.model import Delivery

STATUSES = ("delivered", "pending", "abandoned", "delivered")


@pytest.fixture
async def owed(db: Database, clock: FixedClock) -> list[Delivery]:
    """Two endpoints were owed eight events; newest first."""
    pairs = product([f"evt_{number}" for number in range(8)], ["we_1", "we_2"])
    owed = [store.Owed(TEAHOUSE, new_id("whd"), endpoint, event) for event, endpoint in pairs]
    async with db.transaction() as tx:
        await store.insert_deliveries(tx, owed, at=clock.now())
        for number, one in enumerate(owed):
            await tx.run(
                "UPDATE webhooks.deliveries SET status = $3 WHERE merchant_id = $1 AND id = $2",
                TEAHOUSE,
                one.id,
                STATUSES[(number + number // 4) % 4],
            )
    async with db.transaction(readonly=True) as tx:
        return (await queries.deliveries(tx, TEAHOUSE, Page(limit=100))).data


@pytest.mark.parametrize("endpoint_id", [None, "we_1", "we_3"])
@pytest.mark.parametrize("event_id", [None, "evt_3"])
@pytest.mark.parametrize("status", [None, "delivered", "pending", "abandoned"])
async def test_a_page_is_what_filtering_all_gives(
    db: Database,
    owed: list[Delivery],
    endpoint_id: str | None,
    event_id: str | None,
    status: str | None,
) -> None:
    assert len(owed) == 16
    fitting = [
        one.id
        for one in owed
        if endpoint_id in {None, one.endpoint_id}
        and event_id in {None, one.event_id}
        and status in {None, one.status}
    ]
    cursor = owed[8].id

    async with db.transaction(readonly=True) as tx:
        older, newer = [
            await queries.deliveries(
                tx, TEAHOUSE, page, endpoint_id=endpoint_id, event_id=event_id, status=status
            )
            for page in (Page(limit=3, after=cursor), Page(limit=3, before=cursor))
        ]

    wanted = [one for one in fitting if one < cursor]
    assert ([one.id for one in older.data], older.has_more) == (wanted[:3], len(wanted) > 3)
    wanted = [one for one in fitting if one > cursor]
    assert ([one.id for one in newer.data], newer.has_more) == (wanted[-3:], len(wanted) > 3)
