"""Each rule of `tools/tidy.py` catches what it is for, and leaves good code alone."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "tidy.py"


def tidy(folder: Path) -> str:
    run = subprocess.run(
        [sys.executable, TOOL, folder], capture_output=True, text=True, check=False
    )
    assert run.returncode == (0 if run.stdout == "tidy\n" else 1), run.stderr
    return run.stdout


@pytest.fixture
def house(tmp_path: Path) -> Path:
    for room in ("ledger", "payments", "runtime", "entry"):
        (tmp_path / "tillgate" / room).mkdir(parents=True)
        (tmp_path / "tillgate" / room / "__init__.py").write_text('"""A room."""\n')
    return tmp_path


def test_this_repository_is_tidy() -> None:
    assert tidy(TOOL.parents[1]) == "tidy\n"


def test_good_code_is_left_alone(house: Path) -> None:
    (house / "tillgate/payments/store.py").write_text(
        "async def select_attempt(tx: Tx, merchant_id: int, attempt_id: str):\n"
        '    return await tx.maybe("SELECT * FROM payments.attempts WHERE merchant_id = $1", merchant_id)\n'
    )
    (house / "tillgate/payments/commands.py").write_text("from tillgate.payments import store\n")
    (house / "tillgate/payments/events.py").write_text(
        'NAMES = ["payment.succeeded", "refund.made"]\n'
    )

    assert tidy(house) == "tidy\n"


@pytest.mark.parametrize(
    ("path", "text", "complaint"),
    [
        ("payments/queries.py", "x = 1\n" * 501, "501 lines"),
        ("payments/queries.py", "def f():\n" + "    x = 1\n" * 60, "f has 61 lines"),
        ("payments/utils.py", "", "'utils' fits everything"),
        ("runtime/logging.py", "", "'logging' is the name of a standard module"),
        ("payments/callback.py", "", "'callback' is not our word"),
        ("payments/routing.py", "", "a room has no routing.py"),
        ("payments/model.py", "class PspUser: pass\n", "'User' is not our word"),
        ("payments/model.py", "class PaymentService: pass\n", "'Service' is not our word"),
        ("payments/commands.py", "def f(session: Tx): pass\n", "always called tx"),
        ("payments/commands.py", "from tillgate.ledger import store\n", "store is private to ledger"),
        ("payments/commands.py", "from tillgate.ledger.machine import State\n", "machine is private"),
        ("payments/commands.py", "from tillgate.payments import routes\nfrom tillgate.ledger import jobs\n",
         "jobs is private to ledger"),
        ("payments/flows.py", "from tillgate.payments import store\n", "through commands and queries"),
        ("payments/store.py", 'S = "UPDATE ledger.accounts SET balance = 1"\n', "SQL of ledger.accounts"),
        ("payments/commands.py", 'S = "SELECT 1 FROM payments.attempts"\n', "payments/store.py"),
        ("payments/store.py", 'S = "SELECT now()"\n', "SQL does not read the clock"),
        ("payments/flows.py", "import os\nx = os.environ['X']\n", "only runtime/settings.py"),
        ("payments/queries.py", "store.update_attempt(1)\n", "queries only read"),
        ("payments/events.py", 'NAME = "payment.succeed"\n', "a fact is"),
        ("payments/commands.py", 'Fact(1, "evt_1", "payment.create", "x", 1, b"", at)\n', "a fact is"),
        ("payments/store.py", "async def select_attempt(tx: Tx, attempt_id: str): ...\n", "no merchant_id"),
        ("payments/__init__.py", '"""Page."""\nimport os\n', "holds its docstring and no code"),
    ],
)  # fmt: skip
def test_each_rule_bites(house: Path, path: str, text: str, complaint: str) -> None:
    (house / "tillgate" / path).write_text(text)

    assert complaint in tidy(house)


def test_the_doctor_may_read_every_schema(house: Path) -> None:
    (house / "tillgate/entry/doctor.py").write_text('S = "SELECT 1 FROM payments.attempts"\n')

    assert tidy(house) == "tidy\n"


def test_a_file_with_its_reason_on_the_page_is_allowed(house: Path) -> None:
    (house / "tillgate/payments/__init__.py").write_text(
        '"""`routing.py` chooses among accounts."""\n'
    )
    (house / "tillgate/payments/routing.py").write_text("")

    assert tidy(house) == "tidy\n"
