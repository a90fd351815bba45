"""The relay: facts to their subscribers, in batches, each with its mark in one transaction.

A fact counts as relayed when all its subscribers have heard it, together or not at all. Where a
batch fails it is taken apart and halved until the fact that fails stands alone; that one is parked
with a note, tried again with back-off, and delays nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tillgate.kernel.clock import Clock
from tillgate.kernel.facts import Fact, Headline
from tillgate.runtime import fact_log, outbox, telemetry
from tillgate.runtime.db import CommitUnknown, Contended, Database, DatabaseUnavailable, Tx
from tillgate.runtime.fact_log import ParkedFact

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """Somebody who hears which facts there are, and need not know what they say."""

    names: Collection[str]
    hear: Callable[[Tx, Sequence[Headline], datetime], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Shown:
    """Somebody who hears facts with all they say; only for them is that read."""

    names: Collection[str]
    hear: Callable[[Tx, Sequence[Fact], datetime], Awaitable[None]]


#: Who hears what, by name, and who hears it first. Each hears facts in the order in which they
#: happened; hearing one twice does nothing more.
Table = Sequence[Told | Shown]

BATCH: Final = 1024
#: Batches of one merchant before the next merchant has its turn.
BATCHES_A_TURN: Final = 2
FIRST_WAIT_SECONDS: Final = 5.0
LONGEST_WAIT_SECONDS: Final = 3_600.0
_PARKED_AT_ONCE: Final = 50
#: The database is away, or somebody holds a lock: the same batch may well succeed in a moment.
_NO_FAULT_OF_A_FACT: Final = (DatabaseUnavailable, CommitUnknown, Contended)
_MOVED_AT_ONCE: Final = 1_000


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


async def move_over(db: Database) -> int:
    """Take over what the code before still publishes, until none of it runs any more."""
    async with db.transaction(readonly=True) as tx:
        merchants = await outbox.merchants_of_before(tx)
    moved = 0
    for merchant_id in merchants:
        async with db.transaction() as tx:
            moved += await outbox.move_over(tx, merchant_id, _MOVED_AT_ONCE)
    return moved


async def _relay_merchant(db: Database, clock: Clock, table: Table, merchant_id: int) -> int:
    heard = 0
    for _ in range(BATCHES_A_TURN):
        try:
            claimed = await _hear_next(db, clock, table, merchant_id)
        except _NO_FAULT_OF_A_FACT:
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
        claimed = await outbox.claim(tx, merchant_id, BATCH)
        await _tell(tx, merchant_id, claimed, table, clock.now())
    telemetry.FACTS.inc(len(claimed))
    return len(claimed)


async def _relay_in_halves(db: Database, clock: Clock, table: Table, merchant_id: int) -> int:
    async with db.transaction() as tx:
        fact_ids = await outbox.take_apart(tx, merchant_id, BATCH)
    return await _hear(db, clock, table, merchant_id, fact_ids)


async def _hear(
    db: Database, clock: Clock, table: Table, merchant_id: int, fact_ids: Sequence[str]
) -> int:
    try:
        return await _hear_these(db, clock, table, merchant_id, fact_ids)
    except _NO_FAULT_OF_A_FACT:
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
        claimed = await outbox.claim_these(tx, merchant_id, fact_ids)
        await _tell(tx, merchant_id, claimed, table, clock.now())
    telemetry.FACTS.inc(len(claimed))
    return len(claimed)


async def _tell(
    tx: Tx, merchant_id: int, happened: Sequence[Headline], table: Table, at: datetime
) -> None:
    """Tell each subscriber all it listens to, in the order of the table."""
    shown = {name for one in table if isinstance(one, Shown) for name in one.names}
    wanted = [headline.id for headline in happened if headline.name in shown]
    facts = await fact_log.select_facts(tx, merchant_id, wanted) if wanted else {}
    for one in table:
        heard = [headline for headline in happened if headline.name in one.names]
        if not heard:
            continue
        if isinstance(one, Shown):
            await one.hear(tx, [facts[headline.id] for headline in heard], at)
        else:
            await one.hear(tx, heard, at)


async def _park(
    db: Database, clock: Clock, merchant_id: int, fact_id: str, error: Exception
) -> None:
    """Take a fact out of the others' way; it counts as relayed, and stands on the shelf.

    Unless another relay has heard it since it failed here.
    """
    at = clock.now()
    parked = ParkedFact(
        merchant_id, fact_id, 1, at + timedelta(seconds=FIRST_WAIT_SECONDS), _note(error)
    )
    async with db.transaction() as tx:
        if not await outbox.drop(tx, merchant_id, fact_id):
            return
        await fact_log.park(tx, parked, at=at)
    telemetry.FACTS_PARKED.inc()
    _log.error("fact %s is parked: %s", fact_id, parked.note, exc_info=error)


async def _hear_parked(db: Database, clock: Clock, table: Table, parked: ParkedFact) -> int:
    try:
        async with db.transaction() as tx:
            if not await fact_log.claim_parked(tx, parked.merchant_id, parked.fact_id):
                return 0
            facts = await fact_log.select_facts(tx, parked.merchant_id, [parked.fact_id])
            again = [Headline(fact.merchant_id, fact.id, fact.name) for fact in facts.values()]
            await _tell(tx, parked.merchant_id, again, table, clock.now())
            await fact_log.unpark(tx, parked.merchant_id, parked.fact_id)
    except _NO_FAULT_OF_A_FACT:
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
        await fact_log.put_off(tx, again)


def _note(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500].replace("\x00", "")
