"""Nothing is shipped that nobody calls."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location("unused", ROOT / "tools" / "unused.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_function_nobody_names_is_found(
    tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in tool.PLACES:
        (tmp_path / place).mkdir()
        (tmp_path / place / "spare.py").write_text(f"def spare_of_{place}() -> None: ...\n")
    (tmp_path / "tests" / "test_used.py").write_text(
        "from tools.spare import spare_of_tools\n\nspare_of_tools()\n"
    )
    (tmp_path / "tillgate" / "protocol.py").write_text("def on_body() -> None: ...\nshown = 1\n")
    monkeypatch.setattr(tool, "ROOT", tmp_path)

    assert [line.split(":")[0] for line in tool.unused()] == [
        "simulators/spare.py",
        "tillgate/spare.py",
    ]
