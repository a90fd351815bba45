"""What an operator reads when something is wrong: one sentence, an exit code, no traceback."""

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest

from tests.entry.processes import ask, running, tillgate

NOWHERE = "postgresql://li:s3cret@127.0.0.1:1/books"


@pytest.mark.parametrize(
    "words",
    [
        "serve",
        "worker",
        "migrate",
        "doctor",
        "seed",
        "keys list",
        "merchants list",
        "providers list",
        "books verify",
        "replay webhook evt_1",
        "replay endpoint we_1 --since 0",
        "replay notice not_1",
    ],
)
def test_a_database_that_is_away_has_its_own_exit_code(
    environment: dict[str, str], words: str
) -> None:
    done = tillgate({**environment, "TILLGATE_DATABASE_URL": NOWHERE}, *words.split())

    assert done.returncode == 4
    assert done.stderr.startswith("tillgate: The database cannot be reached: ")
    assert "TILLGATE_DATABASE_URL" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("TILLGATE_HTTP__PORT", "abc", "TILLGATE_HTTP__PORT must be a whole number, not 'abc'."),
        ("TILLGATE_LOG__LEVEL", "loud", "TILLGATE_LOG__LEVEL cannot be 'loud'."),
        ("TILLGATE_SIMULATORS__ENABLED", "maybe", "must be true or false, not 'maybe'."),
        ("TILLGATE_DATABASE_URL", "books", "TILLGATE_DATABASE__URL must be an address like"),
        ("TILLGATE_DATABASE_URL", "postgresql://h:port/books", "must be an address like"),
        ("TILLGATE_DATABASE_URL", "postgresql://[::1/books", "must be an address like"),
        ("TILLGATE_HTTP__PROT", "1", "unknown setting http.prot"),
        ("TILLGATE_CONFIG", "/nowhere.toml", "/nowhere.toml: No such file"),
    ],
)
def test_a_wrong_setting_is_named(
    environment: dict[str, str], name: str, value: str, says: str
) -> None:
    done = tillgate({**environment, name: value}, "doctor")

    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_addresses_that_a_driver_can_read_are_taken(environment: dict[str, str]) -> None:
    for url in (
        "postgresql://127.0.0.1:1,127.0.0.2:1/books",
        "postgresql://[::1]:1/books",
        "postgres://li@/books?host=/nowhere",
        "postgresql://127.0.0.1:1",
    ):
        done = tillgate({**environment, "TILLGATE_DATABASE_URL": url}, "keys", "list")
        assert done.returncode == 4, (url, done.stderr)


def test_a_database_without_tillgate_says_what_to_do(
    environment: dict[str, str], empty_db_url: str
) -> None:
    empty = {"TILLGATE_DATABASE_URL": empty_db_url, "TILLGATE_DATABASE__ROLE": ""}
    for words in ("keys list", "doctor", "serve", "worker"):
        done = tillgate({**environment, **empty}, *words.split())
        assert done.returncode == 4, done.stderr
        assert "Run `tillgate migrate`" in done.stderr


@pytest.mark.parametrize("name", ["serve", "worker"])
def test_a_database_of_an_older_version_says_what_to_do(
    environment: dict[str, str], db_url: str, name: str
) -> None:
    asyncio.run(_forget(db_url, "0005%"))

    done = tillgate(environment, name)

    assert done.returncode == 4, done.stderr
    assert done.stderr == (
        "tillgate: The database lacks migration 0005_expect. Run `tillgate migrate`.\n"
    )


async def _forget(db_url: str, like: str) -> None:
    owner = await asyncpg.connect(db_url)
    await owner.execute("DELETE FROM runtime.migrations WHERE name LIKE $1", like)
    await owner.close()


def test_a_folder_that_cannot_be_is_named(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    embedded = {**environment, "TILLGATE_DATABASE_URL": ""}
    done = tillgate(embedded, "--data", str(tmp_path / "file" / "data"), "doctor")

    assert done.returncode == 3
    assert str(tmp_path / "file") in done.stderr
    assert "--data" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("keys revoke key_none", "No such API key: 'key_none'"),
        ("keys create --merchant acct_none", "No such account: 'acct_none'"),
        ("keys create", "There is no merchant yet"),
        ("replay webhook evt_none", "There is no event evt_none."),
        ("replay endpoint we_none --since 0", "No such webhook endpoint: 'we_none'"),
        ("replay notice not_none", "There is no notice not_none."),
    ],
)
def test_what_does_not_exist_is_refused(environment: dict[str, str], words: str, says: str) -> None:
    done = tillgate(environment, *words.split())

    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr


def test_an_empty_list_says_so(environment: dict[str, str]) -> None:
    assert "none" in tillgate(environment, "keys", "list").stdout
    assert json.loads(tillgate(environment, "keys", "list", "--json").stdout) == []


def test_serve_answers_although_it_is_told_to_end_and_begins_again(
    environment: dict[str, str],
) -> None:
    for _ in range(2):
        with running("serve", environment):
            assert ask(environment["TILLGATE_HTTP__PORT"], "/healthz")[0] == 200
