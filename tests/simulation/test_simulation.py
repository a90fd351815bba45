"""The money path and the wallets under virtual time: faults from a seed, the banks' own truth, a
judge apart.

`make soak` runs on for as long as one likes. A seed that fails is written to `regressions/`, and
from then on it is replayed by every run. A seed is a story to the generator of its day: where that
has changed since, an old file is one seed more, no longer the very same story.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import FIGURES
from tests.simulation.harness import Totals, run_seeds
from tests.simulation.mutants import MUTANTS

SEEDS = 60
#: Wall-clock seconds for them; on a machine that has little time for us it may be fewer, and the
#: number really run is printed, but never fewer than these.
SECONDS, FEWEST = 150.0, 15
#: Each planted bug must be found within so many seeds.
MUTANT_SEEDS = 30
REGRESSIONS = Path(__file__).parent / "regressions"


@pytest.mark.timeout(500)
def test_no_seed_finds_anything_to_complain_about(
    app_db_url: str, db_url: str, record_property: Callable[[str, object], None]
) -> None:
    totals = run_seeds(app_db_url, db_url, range(SEEDS), seconds=SECONDS)

    record_property(FIGURES, f"simulation: {totals}")
    keep(totals)
    assert len(totals.verdicts) >= FEWEST
    assert {verdict.seed: verdict.complaints for verdict in totals.failed} == {}


@pytest.mark.timeout(500)
@pytest.mark.parametrize("mutant", MUTANTS)
def test_planted_bug_is_found(app_db_url: str, db_url: str, mutant: str) -> None:
    totals = run_seeds(app_db_url, db_url, range(MUTANT_SEEDS), mutant=mutant, until_failure=True)

    assert totals.failed, f"{mutant} survived {len(totals.verdicts)} seeds"


@pytest.mark.timeout(500)
def test_same_seed_tells_the_same_story(app_db_url: str, db_url: str) -> None:
    seeds = [2, 5, 7]
    stories: dict[int, set[str]] = {seed: set() for seed in seeds}
    with busy_machine():
        first = run_seeds(app_db_url, db_url, seeds)
    tellings = [first, *(run_seeds(app_db_url, db_url, order) for order in (seeds[::-1], seeds))]
    for verdict in (verdict for totals in tellings for verdict in totals.verdicts):
        stories[verdict.seed].add(verdict.trace)

    assert sum(len(totals.verdicts) for totals in tellings) == 3 * len(seeds)
    assert {seed: len(told) for seed, told in stories.items()} == dict.fromkeys(seeds, 1)


@contextmanager
def busy_machine() -> Iterator[None]:
    """Have others take the processors away all the time: that must not show in any story."""
    words = [sys.executable, "-c", "while True: pass"]
    idlers = [subprocess.Popen(words) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for idler in idlers:
            idler.kill()
            idler.wait()


@pytest.mark.parametrize("file", sorted(REGRESSIONS.glob("*.json")), ids=lambda file: file.stem)
def test_seed_that_once_failed_stays_repaired(app_db_url: str, db_url: str, file: Path) -> None:
    seed = json.loads(file.read_text())["seed"]

    [verdict] = run_seeds(app_db_url, db_url, [seed]).verdicts

    assert verdict.complaints == []


def keep(totals: Totals) -> None:
    """Write failing seeds down, to be replayed for ever."""
    for verdict in totals.failed:
        found = {"seed": verdict.seed, "complaints": verdict.complaints}
        text = json.dumps(found, indent=2, ensure_ascii=False) + "\n"
        (REGRESSIONS / f"seed_{verdict.seed}.json").write_text(text)
