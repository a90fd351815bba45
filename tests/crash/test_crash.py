"""kill -9 at every step: afterwards the providers' books and ours agree to the cent.

`make soak` is the long form.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import FIGURES, HOME_VARIABLE
from tests.crash.harness import run
from tests.crash.walk import Plan
from tillgate.runtime.embedded import EmbeddedPostgres
from tillgate.runtime.embedded_conf import Tuning

#: It is done when each step has been died at, half a minute on two idle cores; on a busy machine it
#: may take as long as this.
SECONDS = 150


@pytest.fixture
def home() -> Path:
    folder = Path(os.environ[HOME_VARIABLE]) / f"crash_{uuid.uuid4().hex[:8]}"
    folder.mkdir(mode=0o755)
    return folder


@pytest.fixture
def postgres(home: Path) -> Iterator[EmbeddedPostgres]:
    """A server that may be killed."""
    server = EmbeddedPostgres(home / "postgres", tuning=Tuning(shared_buffers="64MB"))
    server.start()
    yield server
    server.stop()


@pytest.mark.timeout(400)
def test_nothing_is_lost_and_nothing_doubled(
    postgres: EmbeddedPostgres, home: Path, record_property: Callable[[str, object], None]
) -> None:
    plan = Plan(SECONDS, until_walked=True)
    outcome = run(postgres, home, plan)

    record_property(FIGURES, f"crash: {outcome}")
    assert outcome.found == []
    assert outcome.missed == []
    assert outcome.done["top-ups"] >= plan.top_ups


@pytest.mark.timeout(400)
def test_planted_bug_is_found(postgres: EmbeddedPostgres, home: Path) -> None:
    where = ("serve", "after", "insert payments.attempts")
    plan = Plan(SECONDS, until_walked=True, only=(where,), times=2, settle_seconds=10)

    outcome = run(postgres, home, replace(plan, mutant="tells_after_commit"))

    assert outcome.deaths[where] >= 2
    assert outcome.found, f"it survived {outcome}"
