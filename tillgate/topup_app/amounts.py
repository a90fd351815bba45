"""Amounts as customers see and choose them: written per language, with presets per currency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tillgate.kernel.money import CURRENCIES, Money

#: Whole units of the currency.
_PRESETS: Final[Mapping[str, tuple[int, ...]]] = {
    "cny": (50, 100, 200, 300, 500, 1000),
    "hkd": (50, 100, 200, 300, 500, 1000),
    "twd": (100, 300, 500, 1000, 2000, 5000),
    "jpy": (1000, 2000, 3000, 5000, 10_000, 20_000),
    "krw": (10_000, 20_000, 30_000, 50_000, 100_000, 200_000),
    "vnd": (50_000, 100_000, 200_000, 300_000, 500_000, 1_000_000),
    "inr": (200, 500, 1000, 2000, 3000, 5000),
    "kwd": (5, 10, 20, 30, 50, 100),
}
_OTHERWISE: Final = (10, 20, 50, 100, 200, 500)
#: No page takes more than this many times the largest preset in one order.
_MOST: Final = 50


def presets(code: str) -> list[Money]:
    """Return the amounts offered in a currency."""
    currency = CURRENCIES[code]
    units = _PRESETS.get(code, _OTHERWISE)
    return [Money(unit * 10**currency.exponent, currency) for unit in units]


def largest(code: str) -> Money:
    """Return the most that one order may add."""
    last = presets(code)[-1]
    return Money(last.minor * _MOST, last.currency)


def write(money: Money, symbols: Mapping[str, str], *, sign: bool = False) -> str:
    """Return `¥1,234.50`; a minus goes before the symbol, a plus only where `sign` is wanted."""
    whole, point, part = Money(abs(money.minor), money.currency).major().partition(".")
    number = f"{int(whole):,}{point}{part}"
    code = money.currency.code
    symbol = symbols.get(code)
    mark = "−" if money.minor < 0 else ("+" if sign and money.minor > 0 else "")
    if symbol is None:
        return f"{mark}{code.upper()}\u00a0{number}"
    return f"{mark}{number}{symbol}" if symbol.startswith("\u00a0") else f"{mark}{symbol}{number}"


def write_short(money: Money, symbols: Mapping[str, str]) -> str:
    """Return a round amount without its decimals."""
    exponent = money.currency.exponent
    text = write(money, symbols)
    return text if exponent == 0 or money.minor % 10**exponent else text[: -exponent - 1]
