"""Stripe's search language over payment intents: `status:"succeeded" AND metadata["k"]:"v"`.

Fresher than Stripe's own, which may lag by a minute; the fault `not_paid_yet` brings that back.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from simulators.card.books import Books
from simulators.card.errors import invalid
from simulators.card.form import Form, only, required, text
from simulators.card.listing import limit_of
from simulators.card.objects import PaymentIntent, Plain

URL: Final = "/v1/payment_intents/search"
MAX_CLAUSES: Final = 10
_NUMBERS: Final = frozenset({"amount", "created"})
_WORDS: Final = frozenset({"currency", "customer", "status"})
_CLAUSE: Final = re.compile(
    r"""\s*(?P<not>-)?(?P<field>[a-z_]+)(?:\[(?P<q>["'])(?P<key>[^"'\]]+)(?P=q)\])?"""
    r"""\s*(?P<operator>>=|<=|:|~|>|<|=)\s*"""
    r"""(?:(?P<v>["'])(?P<quoted>(?:\\.|(?!(?P=v)).)*)(?P=v)|(?P<bare>[^\s"']+))\s*"""
)
_JOIN: Final = re.compile(r"(AND|OR)\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition on one field."""

    field: str
    key: str | None
    operator: str
    value: str | None
    is_negated: bool

    def holds(self, intent: PaymentIntent) -> bool:
        """Tell whether the intent fits."""
        return self._matches(intent) is not self.is_negated

    def _matches(self, intent: PaymentIntent) -> bool:
        if self.field in _NUMBERS:
            return self._compares(intent.amount if self.field == "amount" else intent.created)
        actual = self._word(intent)
        if self.value is None:
            return actual is None
        if actual is None:
            return False
        if self.operator == "~":
            return self.value.lower() in actual.lower()
        return self.value.lower() == actual.lower()

    def _word(self, intent: PaymentIntent) -> str | None:
        if self.field == "metadata":
            return intent.metadata.get(self.key or "")
        if self.field == "status":
            return intent.status
        return intent.currency if self.field == "currency" else intent.customer

    def _compares(self, actual: int) -> bool:
        wanted = int(self.value or "0")
        match self.operator:
            case ">":
                return actual > wanted
            case ">=":
                return actual >= wanted
            case "<":
                return actual < wanted
            case "<=":
                return actual <= wanted
            case _:
                return actual == wanted


def parse(query: str) -> tuple[list[Clause], bool]:
    """Return the clauses, and whether any one of them is enough."""
    clauses: list[Clause] = []
    joins: set[str] = set()
    at = 0
    while at < len(query):
        found = _CLAUSE.match(query, at)
        if found is None:
            raise invalid("We were unable to parse your search query.", "query")
        clauses.append(_clause(found))
        at = found.end()
        join = _JOIN.match(query, at)
        if join is not None:
            joins.add(join.group(1).upper())
            at = join.end()
    if len(joins) > 1:
        raise invalid("AND and OR cannot be combined in a search query.", "query")
    if not 1 <= len(clauses) <= MAX_CLAUSES:
        raise invalid("A search query has between 1 and 10 clauses.", "query")
    return clauses, joins == {"OR"}


def _clause(found: re.Match[str]) -> Clause:
    field, key, operator = found["field"], found["key"], found["operator"]
    if field not in _NUMBERS | _WORDS | {"metadata"} or (field == "metadata") != (key is not None):
        raise invalid(f"Field `{field}` is an unsupported search field.", "query")
    value = found["quoted"] if found["v"] else found["bare"]
    if found["v"]:
        value = re.sub(r"\\(.)", r"\1", value)
    elif value == "null":
        value = None
    if field in _NUMBERS and not (value or "").isdigit():
        raise invalid(f"Field `{field}` needs a whole number.", "query")
    if field not in _NUMBERS and operator not in (":", "~"):
        raise invalid(f"Field `{field}` cannot be compared with `{operator}`.", "query")
    if operator == "~" and len(value or "") < 3:
        raise invalid("Substring search needs at least three characters.", "query")
    return Clause(field, key, operator, value, found["not"] is not None)


def search(books: Books, form: Form) -> Plain:
    """GET /v1/payment_intents/search"""
    only(form, frozenset({"query", "limit", "page", "expand"}))
    clauses, is_any = parse(required(form, "query"))
    limit = limit_of(form)
    joined = any if is_any else all
    found = [
        intent
        for intent in reversed(_candidates(books, clauses, is_any=is_any))
        if joined(clause.holds(intent) for clause in clauses)
    ]
    start = _start(found, text(form, "page"))
    shown = found[start : start + limit]
    has_more = start + limit < len(found)
    return {
        "object": "search_result",
        "data": shown,
        "has_more": has_more,
        "next_page": shown[-1].id if has_more else None,
        "url": URL,
    }


def _candidates(
    books: Books, clauses: Sequence[Clause], *, is_any: bool
) -> Sequence[PaymentIntent]:
    for clause in clauses:
        is_exact = clause.key is not None and clause.operator == ":" and not clause.is_negated
        if is_exact and not is_any and clause.key is not None and clause.value is not None:
            return books.tagged(clause.key, clause.value)
    return books.intents.rows


def _start(found: Sequence[PaymentIntent], cursor: str | None) -> int:
    if cursor is None:
        return 0
    for at, intent in enumerate(found):
        if intent.id == cursor:
            return at + 1
    raise invalid("Invalid page cursor.", "page")
