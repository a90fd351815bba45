"""What the documents name exists: links, files, functions, settings, metrics, commands, checks."""

import re
from pathlib import Path

import pytest

from tillgate.entry.cli import cli
from tillgate.entry.doctor_checks import CHECKS
from tillgate.runtime import telemetry
from tillgate.runtime.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
TOP = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
PAGES = [ROOT / name for name in TOP] + sorted((ROOT / "docs").rglob("*.md"))
NAMED_FILE = re.compile(
    r"`((?:tillgate|tests|tools|docs|migrations|simulators|bin|requirements|\.ci)/[\w./*-]*)"
)
#: Files named by what they are called within a room or a folder.
IN_A_ROOM = re.compile(
    r"`((?:ledger|payments|topups|wallets|connectors|runtime|entry|kernel|webhooks)/\w+\.py)`"
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_named_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", text):
        assert (page.parent / target).exists(), f"link to {target}"
    for name in NAMED_FILE.findall(text):
        assert list(ROOT.glob(name.rstrip("/."))), f"names {name}"
    for name in IN_A_ROOM.findall(text):
        assert (ROOT / "tillgate" / name).exists(), f"names {name}"
    for name in re.findall(r"`([a-z-]+\.md)`", text):
        beside = [page.parent / name, ROOT / name]
        assert any(path.exists() for path in beside), f"names {name}"


def test_named_metrics_exist() -> None:
    known = telemetry.render().decode()
    for page in PAGES:
        for name in re.findall(r"`(tillgate_\w+)", page.read_text(encoding="utf-8")):
            if name != "tillgate_app":
                assert name in known, f"{page.name} names {name}"


def test_named_commands_exist() -> None:
    for page in PAGES:
        for words in re.findall(r"`tillgate ([a-z][a-z ]*)", page.read_text(encoding="utf-8")):
            command = cli.commands.get(words.split()[0])
            assert command is not None, f"{page.name} names tillgate {words}"
            if hasattr(command, "commands") and len(words.split()) > 1:
                assert words.split()[1] in command.commands, f"{page.name} names tillgate {words}"


def test_named_commands_work_as_they_stand() -> None:
    """A machine's own python has none of the packages, and need not be there at all."""
    for page in PAGES:
        bare = re.findall(
            r"(?:^|`)python3? (?:-m (?!venv)|tools/).*", page.read_text("utf-8"), re.MULTILINE
        )
        assert bare == [], f"{page.name} leaves .venv/bin/ out"


def test_named_settings_exist() -> None:
    sections = {name: type(getattr(Settings(), name)) for name in Settings.__struct_fields__}
    for page in PAGES:
        named = re.findall(
            r"`(http|database|payments|webhooks|log)\.(\w+)`", page.read_text("utf-8")
        )
        for section, name in named:
            fields = getattr(sections[section], "__struct_fields__", ())
            is_table = any((ROOT / "migrations").glob("*.sql")) and name in MIGRATIONS
            assert name in fields or is_table, f"{page.name} names {section}.{name}"


MIGRATIONS = "\n".join(path.read_text() for path in (ROOT / "migrations").glob("*.sql"))


def test_every_money_check_is_explained() -> None:
    text = (ROOT / "docs/runbooks/books-differ.md").read_text()
    money = {check.name for check in CHECKS if check.concern == "money"}

    assert {name for name in money if f"`{name}`" not in text} <= {"charge_is_credited_once"}


@pytest.mark.parametrize("page", sorted((ROOT / "docs/adr").glob("*.md")), ids=lambda p: p.stem)
def test_a_decision_is_short_and_says_what_was_rejected(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert text.count("\n") <= 60
    headings = re.findall(r"^## (\w+)", text, re.MULTILINE)
    assert headings == ["Context", "Decision", "Consequences", "Rejected"]
    assert text.startswith(f"# {page.stem[:4]}. ")


def test_decisions_are_numbered_one_by_one() -> None:
    numbers = [int(page.stem[:4]) for page in sorted((ROOT / "docs/adr").glob("*.md"))]

    assert numbers == list(range(1, len(numbers) + 1))
