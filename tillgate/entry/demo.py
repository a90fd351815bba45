"""What the demo is called; the supervisor tells the simulators before the seed tells the database."""

from pathlib import Path
from typing import Final

MERCHANT: Final = "Teahouse"


def keys_file(data: Path) -> Path:
    """Return where the demo's keys are kept (mode 0600): the database holds only their digests."""
    return data / "demo.json"
