"""`schema.sql` is what the migrations add up to."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


async def test_the_schema_is_what_the_migrations_add_up_to(db_url: str) -> None:
    spec = importlib.util.spec_from_file_location("gen_schema", ROOT / "tools" / "gen_schema.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    written = (ROOT / "schema.sql").read_text(encoding="utf-8")

    assert await tool.drawn(db_url) == written, "run python tools/gen_schema.py"
