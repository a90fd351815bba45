"""Lanes whose batches take the idempotency keys of their items together with what they commit.

Keys are believed to be new, which taking them proves or denies, so nothing is asked before. Where one
was not new its batch has failed, and is decided again without those that are known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Final

from tillgate.runtime.db import Database
from tillgate.runtime.idempotency import Asked, Claim, KeyTaken, key_of, select_known
from tillgate.runtime.lane import Handler, Item, Lane, Result, fail

#: For how many batches keys are looked for before anything is decided, after one was not new.
_WARY_BATCHES: Final = 100


class Doubts:
    """Whether keys are believed to be new.

    Once one was not, they are looked for first, for a while: whoever repeats one request is likely to
    repeat others, and a batch that fails is work done twice.
    """

    def __init__(self) -> None:
        self._batches = 0

    def beware(self) -> None:
        """A key was not new."""
        self._batches = _WARY_BATCHES

    def remain(self) -> bool:
        """Whether the keys of one more batch are to be looked for."""
        if not self._batches:
            return False
        self._batches -= 1
        return True


class KeyedLane(Lane[Item, Result]):
    """A lane of items that may each take a key, which `handle` attaches to what it makes of them.

    An item whose key is not new fails alone, with `KeyTaken`.
    """

    def __init__(
        self,
        db: Database,
        handle: Handler[Item, Result],
        claim_of: Callable[[Item], Claim | None],
    ) -> None:
        super().__init__(db, handle, key=self._key_of_item)
        self._claim_of = claim_of
        self._doubts = Doubts()

    def _key_of_item(self, item: Item) -> Hashable:
        claim = self._claim_of(item)
        return None if claim is None else key_of(claim.asked)

    async def _write(
        self, batch: list[tuple[Item, asyncio.Future[Result]]], *, tries: int = 3
    ) -> None:
        if self._doubts.remain():
            batch = await self._without_known(batch)
        if batch:
            await super()._write(batch, tries=tries)

    async def _write_apart(
        self, batch: list[tuple[Item, asyncio.Future[Result]]], error: Exception
    ) -> None:
        if isinstance(error, KeyTaken):
            self._doubts.beware()  # each half begins with looking for its keys
        await super()._write_apart(batch, error)

    async def _without_known(
        self, batch: list[tuple[Item, asyncio.Future[Result]]]
    ) -> list[tuple[Item, asyncio.Future[Result]]]:
        """Fail the items whose keys are known; return the others."""
        try:
            async with self._db.transaction(readonly=True) as tx:
                known = await select_known(tx, [a for item, _ in batch if (a := self._taken(item))])
        except Exception as error:  # noqa: BLE001  whatever it was, it must reach the one who asked
            fail(batch, error)
            return []
        except BaseException as error:
            fail(batch, error)
            raise
        if not known:
            return batch
        self._doubts.beware()
        fresh: list[tuple[Item, asyncio.Future[Result]]] = []
        for item, future in batch:
            asked = self._taken(item)
            if asked is not None and key_of(asked) in known:
                fail([(item, future)], KeyTaken())
            else:
                fresh.append((item, future))
        return fresh

    def _taken(self, item: Item) -> Asked | None:
        """Return the key that the item is to take."""
        claim = self._claim_of(item)
        return None if claim is None or claim.is_held else claim.asked
