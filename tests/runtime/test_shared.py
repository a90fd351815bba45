"""One reading for all who ask at the same time."""

import asyncio

from tillgate.runtime.shared import Shared


async def test_one_who_gives_up_does_not_end_it_for_the_others() -> None:
    go = asyncio.Event()

    async def read(key: str) -> str:
        await go.wait()
        return f"read {key}"

    shared = Shared(read)
    first, second = asyncio.create_task(shared("k")), asyncio.create_task(shared("k"))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    go.set()

    assert await second == "read k"
    assert first.cancelled()
