"""Arrays go to the database as lists; asyncpg is told to look for nothing else (see `runtime.db`)."""

import pytest

from tillgate.runtime.db import Database


@pytest.mark.parametrize(
    "given", [[1, None, 3], (1, None, 3), []], ids=["a list", "a tuple", "nothing"]
)
async def test_arrays_arrive_as_they_were_sent(db_url: str, given: list[int | None]) -> None:
    db = await Database.open(db_url, role=None, size=1)
    async with db.transaction() as tx:
        back = await tx.value("SELECT $1::bigint[]", given)
        nested = await tx.value("SELECT $1::text[]", [["a", "b"], ["c", "d"]])
    await db.close()

    assert back == list(given)
    assert nested == [["a", "b"], ["c", "d"]]
