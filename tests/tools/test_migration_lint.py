"""Each rule of `tools/migration_lint.py` catches what it is for."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "migration_lint.py"
HEADER = "-- context: x\n-- deploy: before the code\n-- locks: none\n-- rows: none\n"
FINE = "migrations are in order\n"


def lint(folder: Path, sql: str, code: str = "") -> str:
    (folder / "migrations").mkdir(exist_ok=True)
    (folder / "tillgate").mkdir(exist_ok=True)
    (folder / "migrations/0001_x.sql").write_text(sql)
    (folder / "tillgate/store.py").write_text(code)
    return run(folder)


def run(folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, TOOL, folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == (0 if done.stdout == FINE else 1), done.stderr
    return done.stdout


def test_our_own_migrations_are_in_order() -> None:
    assert run(TOOL.parents[1]) == FINE


def test_a_tenants_table_with_the_merchant_everywhere_is_fine(tmp_path: Path) -> None:
    sql = """
    CREATE TABLE a.b (merchant_id bigint NOT NULL, id text NOT NULL, n numeric(4, 2),
        PRIMARY KEY (merchant_id, id), UNIQUE (merchant_id, n),
        FOREIGN KEY (merchant_id, id) REFERENCES a.c (merchant_id, id));
    CREATE UNIQUE INDEX i ON a.b (merchant_id, n) WHERE n > 0;
    ALTER TABLE a.b ADD COLUMN m text, ADD CONSTRAINT u UNIQUE (merchant_id, m);
    DO $$ BEGIN PERFORM 1; PERFORM 2; END $$;
    """

    assert lint(tmp_path, HEADER + sql) == FINE


@pytest.mark.parametrize(
    ("sql", "complaint"),
    [
        ("CREATE TABLE a.b (id text PRIMARY KEY);", "has no merchant_id"),
        ("CREATE TABLE a.b (merchant_id bigint, id text PRIMARY KEY);", "a.b.id is unique without"),
        ("CREATE TABLE a.b (merchant_id bigint, id text, PRIMARY KEY (id));", "the key (id) lacks"),
        ("CREATE TABLE a.b (merchant_id bigint, id text UNIQUE);", "a.b.id is unique without"),
        ("CREATE TABLE a.b (merchant_id bigint, c text REFERENCES a.c (id));", "a.b.c refers"),
        (
            "CREATE TABLE a.b (merchant_id bigint, FOREIGN KEY (c) REFERENCES a.c (id));",
            "foreign key (c)",
        ),
        ("CREATE UNIQUE INDEX CONCURRENTLY i ON a.b (id);", "unique index on a.b lacks"),
        ("ALTER TABLE a.b ADD CONSTRAINT u UNIQUE (id);", "the key (id) lacks"),
        ("ALTER TABLE a.b ADD COLUMN c text UNIQUE;", "unique without"),
        ("CREATE TRIGGER t AFTER INSERT ON a.b EXECUTE FUNCTION f();", "a trigger hides logic"),
        (
            "CREATE TABLE a.b (merchant_id bigint, at timestamptz DEFAULT now());",
            "database's clock",
        ),
    ],
)
def test_each_rule_bites(tmp_path: Path, sql: str, complaint: str) -> None:
    assert complaint in lint(tmp_path, HEADER + sql)


def test_a_table_that_is_local_on_purpose_says_so(tmp_path: Path) -> None:
    sql = HEADER + "-- local: a.b (the worker's own)\nCREATE TABLE a.b (id text PRIMARY KEY);"

    assert lint(tmp_path, sql) == FINE


def test_a_header_says_when_it_is_deployed(tmp_path: Path) -> None:
    found = lint(tmp_path, "-- context: x\n-- deploy: some day\n-- locks: none\nSELECT 1;")

    assert "lacks `-- rows: …`" in found
    assert "deploy is" in found


def test_two_migrations_with_one_number_are_refused(tmp_path: Path) -> None:
    lint(tmp_path, HEADER)
    (tmp_path / "migrations/0001_y.sql").write_text(HEADER)

    assert "has the number of 0001_x.sql" in run(tmp_path)


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ('S = "SELECT * FROM a.b WHERE id = $1 FOR UPDATE"', "names its merchant"),
        (
            'S = "SELECT id FROM a.b ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"',
            "names its merchant",
        ),
        (
            'S = "SELECT 1 FROM a.b WHERE merchant_id = $1 AND id = ANY($2) FOR UPDATE"',
            "stated order",
        ),
    ],
)
def test_locking_statements(tmp_path: Path, code: str, complaint: str) -> None:
    assert complaint in lint(tmp_path, HEADER, code)
