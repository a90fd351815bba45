"""The relay: facts to their subscribers, in batches, each with its mark in one transaction.

A fact counts as relayed when all its subscribers have heard it, together or not at all. Where a
batch fails it is halved until the fact that fails stands alone; that one is parked with a note,
tried again with back-off, and delays nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from tillgate.kernel.clock import Clock
from tillgate.kernel.facts import Fact
from tillgate.runtime import fact_log, outbox, telemetry
from tillgate.runtime.db import CommitUnknown, Database, DatabaseUnavailable, Tx
from tillgate.runtime.fact_log import ParkedFact

_log = logging.getLogger(__name__)

#: Hears facts in the order in which they happened; hearing one twice does nothing more.
Subscriber = Callable[[Tx, Sequence[Fact], datetime], Awaitable[None]]
#: Who hears what, by the fact's name.
Table = Mapping[str, tuple[Subscriber, ...]]

BATCH: Final = 256
#: Batches of one merchant before the next merchant has its turn.
BATCHES_A_TURN: Final = 8
FIRST_WAIT_SECONDS: Final = 5.0
LONGEST_WAIT_SECONDS: Final = 3_600.0
_PARKED_AT_ONCE: Final = 50


async def relay(db: Database, clock: Clock, table: Table) -> int:
    """Relay what waits, merchant by merchant; return how many facts were heard."""
    async with db.transaction(readonly=True) as tx:
        merchants = await outbox.merchants_waiting(tx)
        parked = await fact_log.select_parked_due(tx, clock.now(), _PARKED_AT_ONCE)
    heard = 0
    for merchant_id in merchants:
        heard += await _relay_merchant(db, clock, table, merchant_id)
    for one in parked:
        heard += await _hear_parked(db, clock, table, one)
    return heard


async def _relay_merchant(db: Database, clock: Clock, table: Table, merchant_id: int) -> int:
    heard = 0
    for _ in range(BATCHES_A_TURN):
        try:
            claimed = await _hear_next(db, clock, table, merchant_id)
        except (DatabaseUnavailable, CommitUnknown):
            raise
        except Exception as error:  # noqa: BLE001  whatever a subscriber did, the others go on
            _log.warning("a batch of facts is relayed in halves: %s", type(error).__name__)
            return heard + await _relay_in_halves(db, clock, table, merchant_id)
        heard += claimed
        if claimed < BATCH:
            break
    return heard


async def _hear_next(db: Database, clock: Clock, table: Table, merchant_id: int) -> int:
    async with db.transaction() as tx:
        facts = await outbox.claim(tx, merchant_id, BATCH)
        await _tell(tx, facts, table, clock.now())
    telemetry.FACTS.inc(len(facts))
    return len(facts)


async def _relay_in_halves(db: Database, clock: Clock, table: Table, merchant_id: int) -> int:
    async with db.transaction(readonly=True) as tx:
        fact_ids = await fact_log.select_unrelayed(tx, merchant_id, BATCH)
    return await _hear(db, clock, table, merchant_id, fact_ids)


async def _hear(
    db: Database, clock: Clock, table: Table, merchant_id: int, fact_ids: Sequence[str]
) -> int:
    try:
        return await _hear_these(db, clock, table, merchant_id, fact_ids)
    except (DatabaseUnavailable, CommitUnknown):
        raise
    except Exception as error:  # noqa: BLE001  see above
        if len(fact_ids) == 1:
            await _park(db, clock, merchant_id, fact_ids[0], error)
            return 0
    middle = len(fact_ids) // 2
    first = await _hear(db, clock, table, merchant_id, fact_ids[:middle])
    return first + await _hear(db, clock, table, merchant_id, fact_ids[middle:])


async def _hear_these(
    db: Database, clock: Clock, table: Table, merchant_id: int, fact_ids: Sequence[str]
) -> int:
    async with db.transaction() as tx:
        facts = await fact_log.claim_facts(tx, merchant_id, fact_ids)
        await _tell(tx, facts, table, clock.now())
    telemetry.FACTS.inc(len(facts))
    return len(facts)


async def _tell(tx: Tx, facts: Sequence[Fact], table: Table, at: datetime) -> None:
    """Tell each subscriber all it listens to, in the order of the table."""
    by_subscriber: dict[Subscriber, list[Fact]] = {}
    for fact in facts:
        for subscriber in table.get(fact.name, ()):
            by_subscriber.setdefault(subscriber, []).append(fact)
    for subscriber, heard in by_subscriber.items():
        await subscriber(tx, heard, at)


async def _park(
    db: Database, clock: Clock, merchant_id: int, fact_id: str, error: Exception
) -> None:
    """Take a fact out of the others' way; it counts as relayed, and stands on the shelf."""
    at = clock.now()
    parked = ParkedFact(
        merchant_id, fact_id, 1, at + timedelta(seconds=FIRST_WAIT_SECONDS), _note(error)
    )
    async with db.transaction() as tx:
        await fact_log.park(tx, parked, at=at)
        await outbox.drop(tx, merchant_id, fact_id)
    telemetry.FACTS_PARKED.inc()
    _log.error("fact %s is parked: %s", fact_id, parked.note, exc_info=error)


async def _hear_parked(db: Database, clock: Clock, table: Table, parked: ParkedFact) -> int:
    try:
        async with db.transaction() as tx:
            if not await fact_log.claim_parked(tx, parked.merchant_id, parked.fact_id):
                return 0
            facts = await fact_log.select_facts(tx, parked.merchant_id, [parked.fact_id])
            await _tell(tx, list(facts.values()), table, clock.now())
            await fact_log.unpark(tx, parked.merchant_id, parked.fact_id)
    except (DatabaseUnavailable, CommitUnknown):
        raise
    except Exception as error:  # noqa: BLE001  it stays parked
        await _put_off(db, clock, parked, error)
        return 0
    telemetry.FACTS.inc()
    return 1


async def _put_off(db: Database, clock: Clock, parked: ParkedFact, error: Exception) -> None:
    at = clock.now()
    wait = min(FIRST_WAIT_SECONDS * 2 ** min(parked.tries, 20), LONGEST_WAIT_SECONDS)
    again = ParkedFact(
        parked.merchant_id,
        parked.fact_id,
        parked.tries + 1,
        at + timedelta(seconds=wait),
        _note(error),
    )
    async with db.transaction() as tx:
        await fact_log.park(tx, again, at=at)


def _note(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500].replace("\x00", "")
