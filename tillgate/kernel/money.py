"""Money is whole minor units and a currency.

No float, no Decimal: 12.30 CNY is `Money(1230, CNY)`; 500 JPY is `Money(500, JPY)`;
1.234 KWD is `Money(1234, KWD)`. Points are a currency like any other (`PTS`, no decimals).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tillgate.kernel.errors import FieldRefused

#: The largest amount one movement may carry: it leaves room to add a million of them in a bigint.
MAX_MINOR: Final = 999_999_999_999

_TWO_DECIMALS: Final = (
    "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf"
    " chf cny cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf"
    " idr ils inr isk jmd kes kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk"
    " mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sek sgd"
    " shp sle sos srd std szl thb tjs top try ttd twd tzs uah usd uyu uzs wst xcd yer zar zmw"
)
_NO_DECIMALS: Final = "bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf pts"
_THREE_DECIMALS: Final = "bhd jod kwd omr tnd"


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency by its lower-case code, with the number of decimals of its minor unit."""

    code: str
    exponent: int

    def __str__(self) -> str:
        return self.code


CURRENCIES: Final[dict[str, Currency]] = {
    code: Currency(code, exponent)
    for exponent, codes in ((2, _TWO_DECIMALS), (0, _NO_DECIMALS), (3, _THREE_DECIMALS))
    for code in codes.split(" ")
}
CNY: Final = CURRENCIES["cny"]
USD: Final = CURRENCIES["usd"]
JPY: Final = CURRENCIES["jpy"]
KWD: Final = CURRENCIES["kwd"]
PTS: Final = CURRENCIES["pts"]


def currency(code: str, *, param: str = "currency") -> Currency:
    """Return the currency of `code` (any case); refuse one we do not know, naming `param`."""
    found = CURRENCIES.get(code.lower())
    if found is None:
        raise FieldRefused(param, f"Invalid currency: {code[:12]}.", code="currency_not_supported")
    return found


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in whole minor units of one currency; it may be negative."""

    minor: int
    currency: Currency

    def __add__(self, other: Money) -> Money:
        assert self.currency == other.currency, "adding two currencies"
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        assert self.currency == other.currency, "subtracting two currencies"
        return Money(self.minor - other.minor, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def share(self, basis_points: int) -> Money:
        """Return this many basis points of the amount, rounded half up, away from zero."""
        sign = -1 if (self.minor < 0) != (basis_points < 0) else 1
        product = abs(self.minor) * abs(basis_points)
        return Money(sign * ((product + 5_000) // 10_000), self.currency)

    def split(self, weights: list[int]) -> list[Money]:
        """Split by weights; the parts add up to the whole, odd units go to the first parts."""
        total = sum(weights)
        assert total > 0, "weights must add up to more than nothing"
        assert all(weight >= 0 for weight in weights), "weights are not negative"
        parts = [self.minor * weight // total for weight in weights]
        odd = self.minor - sum(parts)
        return [
            Money(part + (1 if index < odd else 0), self.currency)
            for index, part in enumerate(parts)
        ]

    def major(self) -> str:
        """Return the amount as a plain decimal string of the major unit: `1230` CNY is `12.30`."""
        exponent = self.currency.exponent
        if exponent == 0:
            return str(self.minor)
        sign = "-" if self.minor < 0 else ""
        whole, rest = divmod(abs(self.minor), 10**exponent)
        return f"{sign}{whole}.{rest:0{exponent}d}"

    @staticmethod
    def from_major(text: str, currency: Currency) -> Money | None:
        """Read a decimal string of the major unit exactly; None where it is not one."""
        sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
        whole, _, rest = digits.partition(".")
        if not digits.isascii() or not whole.isdigit() or (rest and not rest.isdigit()):
            return None
        if len(rest) > currency.exponent:
            if rest[currency.exponent :].strip("0"):
                return None
            rest = rest[: currency.exponent]
        minor = int(whole + rest.ljust(currency.exponent, "0"))
        return Money(sign * minor, currency)

    def __str__(self) -> str:
        return f"{self.major()} {self.currency.code.upper()}"
