"""The money path under virtual time: faults from a seed, truth from the banks, a judge apart.

`make soak` runs on for as long as one likes. A seed that fails is written to `regressions/`, and
from then on it is replayed by every run.
"""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.harness import Totals, run_seeds
from tests.simulation.mutants import MUTANTS

SEEDS = 60
#: Each planted bug must be found within so many seeds.
MUTANT_SEEDS = 30
REGRESSIONS = Path(__file__).parent / "regressions"


@pytest.mark.timeout(500)
def test_no_seed_finds_anything_to_complain_about(
    app_db_url: str, db_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    totals = run_seeds(app_db_url, db_url, range(SEEDS))

    with capsys.disabled():
        print(f"\nsimulation: {totals}")  # noqa: T201
    keep(totals)
    assert len(totals.verdicts) == SEEDS
    assert {verdict.seed: verdict.complaints for verdict in totals.failed} == {}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_planted_bug_is_found(app_db_url: str, db_url: str, mutant: str) -> None:
    totals = run_seeds(app_db_url, db_url, range(MUTANT_SEEDS), mutant=mutant, until_failure=True)

    assert totals.failed, f"{mutant} survived {len(totals.verdicts)} seeds"


def test_same_seed_tells_the_same_story(app_db_url: str, db_url: str) -> None:
    # The database is a real one: on a busy machine two transactions that wait for one lock are now
    # and then let through the other way round. Most tellings agree all the same.
    seeds = [2, 5, 9]
    stories: dict[int, Counter[str]] = {seed: Counter() for seed in seeds}
    for order in (seeds, seeds[::-1], seeds):
        for verdict in run_seeds(app_db_url, db_url, order).verdicts:
            stories[verdict.seed][verdict.trace] += 1

    assert all(told.most_common(1)[0][1] >= 2 for told in stories.values()), stories


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
