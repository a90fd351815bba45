"""`expand[]`: replace ids in an answer by what they name, up to four levels deep.

The tree is only opened along the asked-for paths; everything else stays the record it was.
"""

from collections.abc import Callable, Iterable
from typing import Final, cast

import msgspec

from simulators.card.books import Books
from simulators.card.errors import invalid, refused
from simulators.card.form import Form, listed
from simulators.card.objects import Resource

MAX_DEPTH: Final = 4
_Tree = dict[str, object]
_Finder = Callable[[Books, str], Resource | None]

_FINDERS: Final[dict[str, _Finder]] = {
    "latest_charge": lambda books, identity: books.charges.find(identity),
    "charge": lambda books, identity: books.charges.find(identity),
    "source": lambda books, identity: books.charges.find(identity) or books.refunds.find(identity),
    "payment_intent": lambda books, identity: books.intents.find(identity),
    "payment_method": lambda books, identity: books.methods.find(identity),
    "customer": lambda books, identity: books.customers.find(identity),
    "balance_transaction": lambda books, identity: books.entries.find(identity),
    "failure_balance_transaction": lambda books, identity: books.entries.find(identity),
}
_EXPANDABLE: Final = frozenset({*_FINDERS, "refunds"})


def asked(form: Form) -> list[str]:
    """Return what shall be expanded; refuse, before anything is done, what nothing could expand."""
    paths = listed(form, "expand")
    for path in paths:
        steps = path.split(".")
        if steps[0] == "data":
            del steps[0]
        if len(steps) > MAX_DEPTH:
            raise invalid("You cannot expand more than 4 levels of a property.", "expand")
        if not _EXPANDABLE.issuperset(steps):
            raise invalid(f"This property cannot be expanded ({path}).", "expand")
    return paths


def expanded(books: Books, answer: object, paths: Iterable[str]) -> object:
    """Return the answer with the asked-for objects in place of their ids."""
    tree = _opened(answer)
    for path in paths:
        steps = path.split(".")
        if steps[0] == "data" and tree.get("object") in ("list", "search_result"):
            rows = [_opened(row) for row in cast("list[object]", tree["data"])]
            tree["data"] = rows
            for row in rows:
                _expand(books, row, steps[1:], path)
        else:
            _expand(books, tree, steps, path)
    return tree


def _opened(value: object) -> _Tree:
    """Return a record as a dictionary that may be changed."""
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    return dict(cast("_Tree", value))


def _expand(books: Books, tree: _Tree, steps: list[str], path: str) -> None:
    if not steps:
        return
    step, *rest = steps
    if step == "refunds" and tree.get("object") == "charge":
        tree["refunds"] = _refunds(books, str(tree["id"]))
        return
    finder = _FINDERS.get(step)
    if finder is None or step not in tree:
        raise refused(f"This property cannot be expanded ({path}).", param="expand")
    value = tree[step]
    if isinstance(value, str):
        value = finder(books, value)
    if value is None:
        return
    if not rest:
        tree[step] = value
        return
    opened = _opened(value)
    tree[step] = opened
    _expand(books, opened, rest, path)


def _refunds(books: Books, charge_id: str) -> _Tree:
    rows = books.refunds_of(charge_id)[::-1]
    url = f"/v1/charges/{charge_id}/refunds"
    return {"object": "list", "data": rows, "has_more": False, "url": url}
