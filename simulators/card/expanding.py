"""`expand[]`: replace ids in an answer by what they name, up to four levels deep."""

from collections.abc import Callable
from typing import Final, cast

import msgspec

from simulators.card.books import Books, encode
from simulators.card.errors import invalid
from simulators.card.form import Form, listed
from simulators.card.objects import Resource

MAX_DEPTH: Final = 4
_Json = dict[str, object]
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


def expanded(books: Books, answer: object, form: Form) -> object:
    """Return the answer with the asked-for objects in place of their ids."""
    paths = listed(form, "expand")
    if not paths:
        return answer
    tree = cast("_Json", msgspec.json.decode(encode(answer)))
    for path in paths:
        steps = path.split(".")
        if len(steps) > MAX_DEPTH + (steps[0] == "data"):
            raise invalid("You cannot expand more than 4 levels of a property.", "expand")
        if steps[0] == "data" and tree.get("object") in ("list", "search_result"):
            for row in cast("list[_Json]", tree["data"]):
                _expand(books, row, steps[1:], path)
        else:
            _expand(books, tree, steps, path)
    return tree


def _expand(books: Books, tree: _Json, steps: list[str], path: str) -> None:
    if not steps:
        return
    step, *rest = steps
    if step == "refunds" and tree.get("object") == "charge":
        tree["refunds"] = _refunds(books, str(tree["id"]))
        return
    finder = _FINDERS.get(step)
    if finder is None or step not in tree:
        raise invalid(f"This property cannot be expanded ({path}).", "expand")
    value = tree[step]
    if isinstance(value, str):
        found = finder(books, value)
        if found is None:
            return
        tree[step] = value = msgspec.json.decode(encode(found))
    if isinstance(value, dict):
        _expand(books, cast("_Json", value), rest, path)


def _refunds(books: Books, charge_id: str) -> _Json:
    rows = [msgspec.json.decode(encode(row)) for row in reversed(books.refunds_of(charge_id))]
    url = f"/v1/charges/{charge_id}/refunds"
    return {"object": "list", "data": rows, "has_more": False, "url": url}
