"""Words: a catalogue per language; a further language is one more file in `catalogues/`.

A catalogue is flat: a key and a text, with `{names}` for what is put in, and three tables:
`currencies` (symbols), `declines` (why a payment was refused) and `movements`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import ascii_uppercase
from typing import Final

from tillgate.kernel.money import CURRENCIES, Money
from tillgate.topup_app import amounts

_FOLDER: Final = Path(__file__).parent / "catalogues"
DEFAULT: Final = "en"


@dataclass(frozen=True, slots=True)
class Language:
    """One catalogue."""

    code: str
    tag: str
    name: str
    texts: Mapping[str, str]
    currencies: Mapping[str, str]
    declines: Mapping[str, str]
    movements: Mapping[str, str]

    def __getitem__(self, key: str) -> str:
        return self.texts[key]

    def say(self, key: str, **fields: object) -> str:
        """Return a text with its names filled in."""
        return self.texts[key].format(**fields)

    def money(self, minor: int, code: str, *, sign: bool = False) -> str:
        """Write an amount."""
        return amounts.write(Money(minor, CURRENCIES[code]), self.currencies, sign=sign)

    def money_short(self, minor: int, code: str) -> str:
        """Write an amount, without decimals where it is round."""
        return amounts.write_short(Money(minor, CURRENCIES[code]), self.currencies)

    def symbol(self, code: str) -> str:
        """Return what stands beside an amount that is being typed."""
        return self.currencies.get(code, code.upper()).strip()

    def decline(self, code: str | None, decline_code: str | None) -> str:
        """Say why it was refused, in words a customer can act on."""
        for known in (decline_code, code):
            if known is not None and known in self.declines:
                return self.declines[known]
        return self.declines["other"]

    def movement(self, kind: str) -> str:
        """Name a movement of a wallet."""
        return self.movements.get(kind, self.movements["adjustment"])


@cache
def languages() -> Mapping[str, Language]:
    """Return the catalogues there are, by code, the default first."""
    found = {path.stem: _read(path) for path in sorted(_FOLDER.glob("*.toml"))}
    return {DEFAULT: found.pop(DEFAULT), **found}


def signs_of(code: str) -> list[str]:
    """Return what a customer may type before an amount: `CN¥`, `¥` and `CNY`, in any language."""
    found = {code.upper()}
    for language in languages().values():
        symbol = language.currencies.get(code, "\u00a0")
        if not symbol.startswith("\u00a0"):
            found |= {symbol, symbol.lstrip(ascii_uppercase)}
    return sorted(found)


def choose(asked: str | None, accepted: str) -> Language:
    """Return the language asked for (`?lang=`), or the best of those the browser accepts."""
    known = languages()
    if asked is not None and asked in known:
        return known[asked]
    for tag in _by_preference(accepted):
        code = tag.partition("-")[0].lower()
        if code in known:
            return known[code]
    return known[DEFAULT]


def _by_preference(accepted: str) -> list[str]:
    weighed: list[tuple[float, str]] = []
    for part in accepted[:500].split(","):
        tag, _, rest = part.strip().partition(";")
        weight = rest.strip().removeprefix("q=") if rest else "1"
        try:
            weighed.append((float(weight), tag))
        except ValueError:
            continue
    return [tag for weight, tag in sorted(weighed, key=lambda pair: -pair[0]) if weight > 0]


def _read(path: Path) -> Language:
    catalogue = tomllib.loads(path.read_text(encoding="utf-8"))
    texts = catalogue["texts"]
    return Language(
        code=path.stem,
        tag=catalogue["tag"],
        name=catalogue["name"],
        texts=texts,
        currencies=catalogue["currencies"],
        declines=catalogue["declines"],
        movements=catalogue["movements"],
    )
