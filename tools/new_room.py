"""Write the skeleton of a room: `python tools/new_room.py loyalty topups "Points and tiers"`.

The second word is the room it stands next to: it takes the storey right above. The page, the
contract lines, an empty test folder and the docs stub come with it, so that the right way is the
shortest way.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

PAGE = '''"""{purpose}.

Promises
- (what others may rely on)

Tables: `{room}.…`. Facts: (none yet).
"""
'''
ERRORS = '''"""What {room} refuses."""
'''
STORE = '''"""SQL of the schema `{room}`."""
'''
COMMANDS = '''"""One step each inside the caller's transaction: lock, decide, write, book, publish."""
'''
MIGRATION = """-- context: {room}: {purpose}
-- deploy: before the code
-- locks: none (new tables)
-- rows: none

CREATE SCHEMA {room};
GRANT USAGE ON SCHEMA {room} TO tillgate_app;
"""
DOCS = """# {title}

{purpose}.

What this room promises stands on its page: `tillgate/{room}/__init__.py`.
"""


def contracts(pyproject: str, room: str, above: str) -> str:
    """Return the settings with the room's storey, and with the room among the containers."""
    assert f'  "tillgate.{room}",' not in pyproject, f"{room} has its contract already"
    storey = re.search(rf'^  "(?:[\w| ]*\b)?{above}\b[\w| ]*",\n', pyproject, re.MULTILINE)
    assert storey is not None, f"there is no room {above}"
    placed = pyproject[: storey.start()] + f'  "{room}",\n' + pyproject[storey.start() :]
    containers = sorted({*re.findall(r'^  "tillgate\.(\w+)",\n', placed, re.MULTILINE), room})
    listed = "".join(f'  "tillgate.{name}",\n' for name in containers)
    return re.sub(r'(?:^  "tillgate\.\w+",\n)+', listed, placed, count=1, flags=re.MULTILINE)


def next_number(folder: Path) -> str:
    """Return the number of the next migration."""
    return f"{1 + max((int(path.name[:4]) for path in folder.glob('????_*.sql')), default=0):04}"


def write_room(root: Path, room: str, above: str, purpose: str) -> list[Path]:
    """Write everything; return the files."""
    assert re.fullmatch(r"[a-z]{3,20}", room), "a room's name is one lower-case word"
    words = {"room": room, "title": room.capitalize(), "purpose": purpose.rstrip(".")}
    pyproject = root / "pyproject.toml"
    changed = contracts(pyproject.read_text(encoding="utf-8"), room, above)
    files = {
        root / "tillgate" / room / "__init__.py": PAGE,
        root / "tillgate" / room / "errors.py": ERRORS,
        root / "tillgate" / room / "store.py": STORE,
        root / "tillgate" / room / "commands.py": COMMANDS,
        root
        / "tests"
        / room
        / f"test_{room}_commands.py": '"""{title}: what its commands do."""\n',
        root / "migrations" / f"{next_number(root / 'migrations')}_{room}.sql": MIGRATION,
        root / "docs" / "explanation" / f"{room}.md": DOCS,
    }
    for path, text in files.items():
        assert not path.exists(), f"{path} exists"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(**words), encoding="utf-8")
    pyproject.write_text(changed, encoding="utf-8")
    return [*files, pyproject]


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    for written in write_room(ROOT, *sys.argv[1:]):
        print(written.relative_to(ROOT))
