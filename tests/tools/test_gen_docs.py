"""`docs/reference/` says what the code says, and the pages that people read can be believed."""

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

from tillgate.entry.subscriptions import TABLE

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
#: Paths of the machine something was written on, and hosts that packages were fetched from.
TELLTALE = re.compile(
    r"(?:/work/|/root/|/home/\w|https?://[\w.-]*(?:pypi|npmjs|pythonhosted)[\w.-]*)"
)


def generated() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("gen_docs", ROOT / "tools" / "gen_docs.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool.pages()


def test_the_reference_is_what_the_code_says() -> None:
    made = generated()

    assert {page.name for page in REFERENCE.glob("*.md")} == set(made)
    for name, text in made.items():
        assert (REFERENCE / name).read_text(encoding="utf-8") == text, f"run bin/docs: {name}"


def test_the_reference_holds_every_fact() -> None:
    page = (REFERENCE / "facts.md").read_text(encoding="utf-8")

    assert [name for each in TABLE for name in each.names if f"| `{name}` |" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_a_machine_or_a_registry(page: Path) -> None:
    assert TELLTALE.findall(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs/start").glob("*.md")), ids=lambda page: page.stem
)
def test_shell_blocks_can_be_read_by_a_shell(page: Path) -> None:
    for block in re.findall(
        r"^```(?:sh|bash)\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
    ):
        read = subprocess.run(
            ["bash", "-n"], input=block, capture_output=True, text=True, check=False
        )
        assert read.returncode == 0, read.stderr
