"""kill -9, again and again: afterwards the providers' books and ours agree to the cent.

`make soak` is the long form.
"""

import os
import uuid
from pathlib import Path

import pytest

from tests.conftest import HOME_VARIABLE
from tests.crash.harness import run
from tillgate.runtime.embedded import EmbeddedPostgres
from tillgate.runtime.embedded_conf import Tuning

SECONDS = 20


def test_nothing_is_lost_and_nothing_doubled(capsys: pytest.CaptureFixture[str]) -> None:
    home = Path(os.environ[HOME_VARIABLE]) / f"crash_{uuid.uuid4().hex[:8]}"
    home.mkdir(mode=0o755)
    postgres = EmbeddedPostgres(home / "postgres", tuning=Tuning(shared_buffers="64MB"))
    postgres.start()
    try:
        outcome = run(postgres, home, seconds=SECONDS)
    finally:
        postgres.stop()

    with capsys.disabled():
        print(f"\ncrash: {outcome}")  # noqa: T201
    assert outcome.found == []
    assert outcome.deaths["serve"] >= 1
    assert outcome.deaths["worker"] + outcome.deaths["postgres"] >= 1
    assert outcome.done["top-ups"] >= 20
