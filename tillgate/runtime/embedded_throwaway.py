"""A PostgreSQL for as long as something lasts: for benches, drawings of the schema, long tests."""

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tillgate.runtime.embedded import EmbeddedPostgres
from tillgate.runtime.embedded_conf import Tuning


@contextmanager
def throwaway_postgres(purpose: str, tuning: Tuning) -> Generator[tuple[EmbeddedPostgres, Path]]:
    """A running server, and the folder it lies in, which is named for its purpose.

    Both are gone afterwards; what else lies in the folder as well.
    """
    with tempfile.TemporaryDirectory(
        prefix=f"tillgate-{purpose}-", ignore_cleanup_errors=True
    ) as folder:
        home = Path(folder)
        # PostgreSQL's user is another one when we are root, and must get in.
        home.chmod(0o755)
        postgres = EmbeddedPostgres(home / "postgres", tuning=tuning)
        postgres.start()
        try:
            yield postgres, home
        finally:
            postgres.stop()
