"""Keep a stage up for a person to look at, with a little history: python -m tests.browser [PORT]"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

from tests.browser.stage import Stage, open_stage
from tests.worlds import make_keys
from tillgate.runtime.embedded import EmbeddedPostgres
from tillgate.runtime.embedded_conf import Tuning
from tillgate.runtime.embedded_throwaway import throwaway_postgres
from tillgate.runtime.migrations import migrate


async def show(stage: Stage) -> None:
    """Print the links and wait to be interrupted."""
    wallet_id = await stage.open_wallet()
    sys.stdout.write(f"{stage.link(wallet_id)}\n{stage.phone('alipay')}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


async def main(server: EmbeddedPostgres, home: Path, port: int) -> None:
    """Run it all in one process."""
    server.ensure_database("stage")
    await migrate(server.dsn("stage"))
    server.admit_application("stage")
    url = server.dsn("stage", role="application")
    async with open_stage(url, make_keys(home), home, port=port, speed=1.0) as stage:
        await show(stage)


if __name__ == "__main__":
    with (
        contextlib.suppress(KeyboardInterrupt),
        throwaway_postgres("stage", Tuning(shared_buffers="64MB")) as (postgres, folder),
    ):
        asyncio.run(main(postgres, folder, int(sys.argv[1]) if len(sys.argv) > 1 else 0))
