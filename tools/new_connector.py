"""Write the skeleton of a connector: `python tools/new_connector.py klarna Klarna`.

It can do nothing yet and says so honestly: every question is answered `NotSent`. What it must do is
in `tillgate/connectors/port.py`; `tests/contract` runs over it once it is listed there.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

PAGE = '''"""{title}: the words of its API to ours and back.

`wire.py` is pure; `connector.py` sends and returns outcomes.
"""
'''
WIRE = '''"""{title}'s words and ours; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tillgate.connectors.port import Outcome, Unknown


def outcome(answer: Mapping[str, Any]) -> Outcome:
    """Paid only if they say so, declined only if they say so; anything else is unknown."""
    return Unknown(f"unrecognised answer with {{len(answer)}} fields")
'''
CONNECTOR = '''"""Sends to {title} and returns outcomes; stateless."""

from __future__ import annotations

from datetime import datetime

from tillgate.connectors.port import (
    Charge,
    Closed,
    NotFound,
    NotSent,
    Outcome,
    Presentation,
    Unknown,
)
from tillgate.kernel.money import Money


class {title}:
    """The connector of {title}."""

    name = "{name}"
    presentations: frozenset[Presentation] = frozenset()
    currencies: frozenset[str] = frozenset()

    async def charge(self, charge: Charge, *, now: datetime) -> Outcome:
        return NotSent(f"{{self.name}} cannot take {{charge.amount}} yet ({{now:%Y}})")

    async def look_up(
        self,
        attempt_id: str,
        reference: str | None,
        amount: Money,
        *,
        since: datetime,
        now: datetime,
    ) -> Outcome | Closed | NotFound:
        asked = (attempt_id, reference, amount, since, now)
        return Unknown(f"{{self.name}} cannot be asked yet, about {{asked[0]}}")
'''
TEST = '''"""{title}: its words to ours."""

from tillgate.connectors.{name} import wire
from tillgate.connectors.port import Unknown


def test_an_unrecognised_answer_is_unknown() -> None:
    assert isinstance(wire.outcome({{"code": "?"}}), Unknown)
'''
DOCS = """# {title}

Which of its interfaces the connector speaks, how it signs, and what it cannot do.
"""


def write_connector(root: Path, name: str, title: str) -> list[Path]:
    """Write everything; return the files."""
    assert re.fullmatch(r"[a-z][a-z0-9_]{2,20}", name), "a connector's name is lower-case"
    assert title.isidentifier(), "the title is a class name, such as WechatPay"
    folder = root / "tillgate" / "connectors" / name
    files = {
        folder / "__init__.py": PAGE,
        folder / "wire.py": WIRE,
        folder / "connector.py": CONNECTOR,
        root / "tests" / "connectors" / f"test_{name}_wire.py": TEST,
        root / "docs" / "how-to" / f"connect-{name.replace('_', '-')}.md": DOCS,
    }
    for path, text in files.items():
        assert not path.exists(), f"{path} exists"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(name=name, title=title), encoding="utf-8")
    return list(files)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    for written in write_connector(ROOT, *sys.argv[1:]):
        print(written.relative_to(ROOT))
