"""The money path under virtual time: faults from a seed, truth from the banks, a judge apart."""

from tests.simulation.harness import run_seeds


def test_try(app_db_url: str, db_url: str) -> None:
    totals = run_seeds(app_db_url, db_url, range(3))
    print(totals)
    for v in totals.failed:
        print(v.seed, v.complaints)
    assert not totals.failed
