"""Static files under names that carry a hash of their content, to be cached for good.

Scripts name each other by their plain names; what is served has the hashed names in their place,
so that a changed module changes the name of everything that uses it.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_IMPORT: Final = re.compile(r'from "\./([a-z_]+\.js)"')


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent."""

    name: str
    content_type: str
    body: bytes
    zipped: bytes


class Assets:
    """The files of `static/`, by plain and by hashed name."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        self._folder = folder
        self._by_plain: dict[str, Asset] = {}
        for path in sorted(folder.iterdir()):
            if path.suffix in _TYPES:
                self._take(path.name)
        self._by_name = {asset.name: asset for asset in self._by_plain.values()}

    def find(self, name: str) -> Asset | None:
        """Return the file with this hashed name."""
        return self._by_name.get(name)

    def address(self, plain: str) -> str:
        """Return where a file is served."""
        return f"/pay/static/{self._by_plain[plain].name}"

    def scripts(self) -> list[str]:
        """Return where the scripts are served, to be fetched ahead."""
        return [self.address(plain) for plain in self._by_plain if plain.endswith(".js")]

    def shell(self) -> list[str]:
        """Return where everything is served that every page is made of."""
        return [self.address(plain) for plain in self._by_plain]

    def _take(self, plain: str) -> Asset:
        known = self._by_plain.get(plain)
        if known is not None:
            return known
        path = self._folder / plain
        body = path.read_bytes()
        if path.suffix == ".js":
            text = _IMPORT.sub(
                lambda found: f'from "./{self._take(found[1]).name}"', body.decode("utf-8")
            )
            body = text.encode("utf-8")
        digest = hashlib.sha256(body).hexdigest()[:12]
        asset = Asset(
            f"{path.stem}.{digest}{path.suffix}",
            _TYPES[path.suffix],
            body,
            gzip.compress(body, mtime=0),
        )
        self._by_plain[plain] = asset
        return asset
