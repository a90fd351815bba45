"""Write `docs/reference/` from the code: `bin/docs`; `bin/docs --check` only compares.

The pages are committed, so that a new refusal, fact, setting or state shows in a review as what it
is: a change of what others rely on. `tests/tools/test_gen_docs.py` compares.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import click
import msgspec

import tillgate
from tillgate.api import app, docs, openapi, words
from tillgate.connectors import registry
from tillgate.entry import subscriptions
from tillgate.entry.cli import cli
from tillgate.entry.exits import Exit
from tillgate.kernel.errors import FieldRefused, Refusal
from tillgate.ledger import model as ledger
from tillgate.payments import booking
from tillgate.payments import machine as payments
from tillgate.runtime.settings import Settings
from tillgate.topups import commands as topups
from tillgate.wallets import machine as wallets
from tillgate.web.operation import Operation
from tillgate.web.refusals import STATUS

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "reference"
MARK = "<!-- Written by tools/gen_docs.py from the code: change that, then run bin/docs. -->\n"
Row = Sequence[str]

API_INTRO = """\
In Stripe's dialect.
`/docs` of a running Tillgate is the same, to be browsed; `/openapi.json` is the document for programs.
Parameters are sent as a form or as JSON.
`expand[]` and, for `POST`, the header `Idempotency-Key` are taken everywhere.
What each error code means, and which any request may be answered with, stands under [errors](errors.md).\
"""
ERRORS_INTRO = """\
A refusal is what the system will not do.
`code` is for programs, the message for people, `param` names the parameter to blame.
Words in braces are filled in.
A provider's decline is no refusal: it is status 402, type `card_error`.
It carries a `decline_code` and the payment.\
"""
FACTS_INTRO = """\
A fact is published in the transaction that makes it true.
It is heard in the order shown; a fact with an event is owed to every endpoint that listens to its type.
`data.sequence` of an event rises with each event of the same object: never the same twice, some left out.

`payment_intent.mismatched` has no counterpart at Stripe: the provider says that it was paid,
but another amount, currency or account than was asked for.
Nothing is credited and the payment stays `processing` until a person has looked at it.
Of an order that had ended before (expired, canceled, declined) it is told all the same, once;
the payment then keeps the status that it has come to since.\
"""
SETTINGS_INTRO = """\
Set `TILLGATE_SECTION__NAME` in the environment,
or write `name = value` under `[section]` in the TOML file that `TILLGATE_CONFIG` names.
The environment wins, and a name that does not exist is refused.
`TILLGATE_DATABASE_URL` is the same as `TILLGATE_DATABASE__URL`.\
"""
CHART_INTRO = """\
One account for each code and currency of a merchant in one mode.
A balance is credits minus debits; *normal* is the side on which an account of this kind usually stands.
A floor is what the balance less its holds may not go below.\
"""
GRIDS_INTRO = """\
Rows are states, columns are what is heard, cells are the state afterwards.
`!` contradicts: nothing moves, and a person looks.\
"""


def pages() -> dict[str, str]:
    """Return every page by its name."""
    import_everything()
    made = {
        "api": api_page(),
        "errors": errors_page(),
        "facts": facts_page(),
        "settings": settings_page(),
        "cli": cli_page(),
        "chart-of-accounts": chart_page(),
        "state-grids": grids_page(),
    }
    return {f"{name}.md": f"{MARK}\n{text.rstrip()}\n" for name, text in made.items()}


def import_everything() -> None:
    """So that every refusal is known."""
    for found in pkgutil.walk_packages(tillgate.__path__, "tillgate."):
        importlib.import_module(found.name)


def table(header: Row, rows: Iterable[Row]) -> str:
    """Return a table; a bar within a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    shown = [
        " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) for row in lines
    ]
    return "\n".join(f"| {line} |" for line in shown) + "\n"


# The API


def api_page() -> str:
    """Every operation with its parameters, and every object."""
    operations = api_operations()
    document = openapi.document(operations, "http://127.0.0.1:8080")
    parts = [
        "# The API",
        API_INTRO,
    ]
    for group in docs.groups(document):
        parts.append(f"## {group['title']}")
        parts += [operation_text(each) for each in group["entries"]]
        parts.append(object_text(group["entries"]))
    parts += ["## What may be expanded", expandable()]
    return "\n\n".join(part for part in parts if part)


class Nothing:
    """Stands where a running server would have a part; whatever is asked of it is nothing too."""

    def __getattr__(self, name: str) -> Nothing:
        if name.startswith("__"):
            raise AttributeError(name)
        return self


def api_operations() -> list[Operation]:
    """The rows of all rooms; nothing is served, so nothing stands behind their parts."""
    nothing: Any = Nothing()
    application = app.build(
        app.Parts(
            db=nothing,
            clock=nothing,
            vault=nothing,
            payments=nothing,
            top_ups=nothing,
            catalogue=subscriptions.CATALOGUE,
            link=nothing,
            base_url="http://127.0.0.1:8080",
        )
    )
    return application.api.table.operations


def operation_text(entry: Mapping[str, Any]) -> str:
    lines = [
        f"### `{entry['method']} {entry['path']}`",
        f"{entry['summary']}.",
        entry["description"],
    ]
    fields = [field_row(field) for field in entry["fields"] if field["name"] != "expand"]
    if fields:
        lines.append(table(["parameter", "type", "means"], fields).rstrip())
    if entry["errors"]:
        lines.append(f"Errors of its own: {own_errors(entry['errors'])}.")
    return "\n\n".join(line for line in lines if line)


def field_row(field: Mapping[str, Any]) -> Row:
    needed = " (required)" if field["required"] else ""
    return [f"`{field['name']}`{needed}", field["type"], field["about"]]


def own_errors(errors: Iterable[tuple[str, Sequence[str]]]) -> str:
    return "; ".join(
        f"{status} " + ", ".join(f"`{code}`" for code in codes) for status, codes in errors
    )


def object_text(entries: Iterable[Mapping[str, Any]]) -> str:
    """The object that the operations of a group answer with."""
    for entry in entries:
        names = [field["name"] for field in entry["answer"]]
        if "object" in names and "has_more" not in names and "deleted" not in names:
            fields = [field_row({**field, "required": False}) for field in entry["answer"]]
            return "**The object**\n\n" + table(["field", "type", "means"], fields).rstrip()
    return ""


def expandable() -> str:
    return table(
        ["object", "property", "becomes"],
        (
            [f"`{name}`", f"`{field}`", f"`{into}`"]
            for (name, field), into in app.EXPANDABLE.items()
        ),
    )


# Errors


def errors_page() -> str:
    """Every refusal, by room, with what it is on the wire."""
    parts = [
        "# Errors",
        ERRORS_INTRO,
    ]
    by_room: dict[str, list[type[Refusal]]] = {}
    for refusal in sorted(refusals(Refusal), key=lambda one: (one.__module__, one.__name__)):
        by_room.setdefault(refusal.__module__.split(".")[1], []).append(refusal)
    for room, found in by_room.items():
        header = ["refusal", "kind", "status", "code", "message"]
        parts.append(f"## {room}\n\n{table(header, map(refusal_row, found)).rstrip()}")
    parts.append(f"## Wrong parameters\n\n{codes_text()}")
    parts.append(f"## What the codes mean\n\n{meanings_text()}")
    return "\n\n".join(parts)


def refusals(kind: type[Refusal]) -> Iterator[type[Refusal]]:
    for below in kind.__subclasses__():
        if below.__module__.startswith("tillgate."):
            yield below
            yield from refusals(below)


def refusal_row(refusal: type[Refusal]) -> Row:
    status, _ = STATUS[refusal.kind]
    code = f"`{refusal.code}`" if refusal.code else "–"
    if refusal is FieldRefused:
        code = "see below"
    message = " ".join((refusal.__doc__ or "").split())
    return [refusal.__name__, refusal.kind.value, str(status), code, message]


def codes_text() -> str:
    """The codes that a `FieldRefused` may carry, where they stand as words in the code."""
    codes = sorted(
        {code for path in (ROOT / "tillgate").rglob("*.py") for code in field_codes(path)}
    )
    return "`FieldRefused` carries one of: " + ", ".join(f"`{code}`" for code in codes) + "."


def meanings_text() -> str:
    """Every code of the API, and which any request may be answered with."""
    everywhere = ", ".join(f"`{code}`" for code in sorted(words.codes_of_all()))
    rows = [[f"`{code}`", about] for code, about in words.meanings().items()]
    intro = f"Any request, any POST or any path with an id may be answered with {everywhere}."
    own = "The others stand with [their operations](api.md)."
    declines = "A decline may carry another code, the provider's own."
    return f"{intro}\n{own}\n{declines}\n\n{table(['code', 'means'], rows)}"


def field_codes(path: Path) -> Iterator[str]:
    """Codes given to a refused field by name, or in a table of (pattern, message, code)."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "code":
            yield from words_of(node.value)
        elif isinstance(node, ast.Constant) and str(node.value).startswith("parameter_"):
            yield str(node.value)


def words_of(node: ast.expr) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str) and "_" in inner.value:
            yield inner.value


# Facts


def facts_page() -> str:
    """Every fact: the event it is for a merchant, and who hears it inside."""
    parts = [
        "# Facts and events",
        FACTS_INTRO,
    ]
    rows: list[Row] = []
    for name in sorted({name for each in subscriptions.TABLE for name in each.names}):
        kind = subscriptions.CATALOGUE.get(name)
        hearers = [each.hear.__name__ for each in subscriptions.TABLE if name in each.names]
        inside = [each.strip("_").replace("_", " ") for each in hearers]
        event = f"`{kind.type}`" if kind else "–"
        rows.append([f"`{name}`", event, ", ".join(inside)])
    parts.append(table(["fact", "event", "heard by"], rows))
    return "\n\n".join(parts)


# Settings


def settings_page() -> str:
    """Every setting with its default, from the tree itself."""
    parts = [
        "# Settings",
        SETTINGS_INTRO,
    ]
    top = Settings()
    parts.append(table(SETTING, [setting_row("", top, "data_dir")]).rstrip())
    for section in Settings.__struct_fields__:
        value = getattr(top, section)
        if not isinstance(value, msgspec.Struct):
            continue
        rows = [setting_row(section, value, name) for name in value.__struct_fields__]
        about = (type(value).__doc__ or "").strip()
        parts.append(f"## {section}\n\n{about}\n\n{table(SETTING, rows).rstrip()}")
    return "\n\n".join(parts)


SETTING = ["setting", "default", "type", "means"]


def setting_row(section: str, value: msgspec.Struct, name: str) -> Row:
    default = getattr(value, name)
    field = next(one for one in msgspec.structs.fields(type(value)) if one.name == name)
    variable = "__".join(part.upper() for part in (section, name) if part)
    words = [str(word) for word in get_args(field.type)]
    kind = " or ".join(words) or field.type.__name__
    shown = (
        "none"
        if default == ""
        else str(default).lower()
        if default in (True, False)
        else str(default)
    )
    about = comments_of(type(value)).get(name, "")
    return [f"`TILLGATE_{variable}`", shown, kind, about]


@cache
def comments_of(kind: type) -> dict[str, str]:
    """The `#:` lines above the fields of a class, and of those it inherits from."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if one.__module__.startswith("tillgate."):
            found.update(field_comments(inspect.getsource(one)))
    return found


def field_comments(source: str) -> Iterator[tuple[str, str]]:
    said: list[str] = []
    for line in map(str.strip, source.splitlines()):
        if line.startswith("#:"):
            said.append(line.removeprefix("#:").strip())
        elif said:
            yield line.partition(":")[0], " ".join(said)
            said = []


# The command line


def cli_page() -> str:
    """What `tillgate --help` and every `--help` below it say."""
    parts = ["# The command line"]
    parts += [
        f"## `{' '.join(words)}`\n\n```text\n{help_of(words, command)}\n```"
        for words, command in commands(["tillgate"], cli)
    ]
    codes = [[str(code.value), code.name.lower()] for code in Exit]
    parts.append("## Exit codes\n\n" + table(["code", "means"], codes))
    return "\n\n".join(parts)


def commands(words: list[str], command: click.Command) -> Iterator[tuple[list[str], click.Command]]:
    yield words, command
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from commands([*words, name], command.commands[name])


def help_of(words: list[str], command: click.Command) -> str:
    context = click.Context(
        command,
        info_name=" ".join(words),
        max_content_width=96,
        terminal_width=96,
        help_option_names=["-h", "--help"],
    )
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


# Accounts and states


def chart_page() -> str:
    """Every kind of ledger account, from the functions that name them."""
    of_attempt: Any = SimpleNamespace(
        provider="{provider}", provider_account_id="{provider_account}", currency="{currency}"
    )
    order: Any = SimpleNamespace(
        wallet_id="{wallet}", currency="", bonus_amount=1, refund_policy="receivable"
    )
    bonuses, owed = topups.extra_terms(order)
    terms = [
        (ledger.wallet_principal("{wallet}", ""), ledger.wallet_principal.__doc__),
        (ledger.wallet_bonus("{wallet}", ""), ledger.wallet_bonus.__doc__),
        (owed, topups.owed_code.__doc__),
        (booking.receivable(of_attempt), booking.receivable.__doc__),
        (booking.refunds_payable(of_attempt), booking.refunds_payable.__doc__),
        (booking.sales(""), booking.sales.__doc__),
        (bonuses, "What bonuses have cost the merchant."),
        (booking.second_payments(""), booking.second_payments.__doc__),
    ]
    rows = [
        [
            f"`{term.code}`",
            "debit" if term.normal_side == "debit" else "credit",
            "none" if term.floor is None else str(term.floor),
            (about or "").strip().splitlines()[0],
        ]
        for term, about in terms
    ]
    return "\n\n".join(
        [
            "# Chart of accounts",
            CHART_INTRO,
            table(["code", "normal", "floor", "holds"], rows).rstrip(),
            "## What is booked when\n\n```text\n"
            + (booking.__doc__ or "").partition("\n\n")[2].strip()
            + "\n```",
        ]
    )


def grids_page() -> str:
    """Every machine as a grid: rows are states, columns are news."""
    moves = {(one.value, news.value): to.value for (one, news), to in wallets.MOVES.items()}
    parts = [
        "# States",
        GRIDS_INTRO,
        f"## A payment's attempt\n\n{grid(payments.Status, payments.News, payments.MOVES)}",
        f"## A refund\n\n{grid(payments.RefundStatus, payments.RefundNews, payments.REFUND_MOVES)}",
        f"## A wallet\n\n{grid(wallets.Status, wallets.News, moves)}",
        f"## A payment\n\n{payment_statuses()}",
        "## Providers\n\nConnectors that a provider account may name: "
        + ", ".join(f"`{name}`" for name in sorted(registry.NAMES))
        + ".",
    ]
    return "\n\n".join(parts)


def grid(states: type[Enum], news: type[Enum], moves: Mapping[tuple[str, str], str]) -> str:
    header = ["", *(f"`{one.value}`" for one in news)]
    rows = [
        [f"**{state.value}**", *(moves.get((state.value, one.value), "!") for one in news)]
        for state in states
    ]
    return table(header, rows).rstrip()


def payment_statuses() -> str:
    """How a payment stands while its last attempt stands so."""
    rows = [
        [
            f"**{status.value}**",
            *(
                f"`{payments.payment_status(status.value, on=on, canceling=canceling)}`"
                for on, canceling in (("customer", False), ("provider", False), ("customer", True))
            ),
        ]
        for status in payments.Status
    ]
    return table(
        ["attempt", "payment, waiting for the customer", "for the provider", "being canceled"], rows
    ).rstrip()


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or say which differ."""
    made = pages()
    if "--check" in arguments:
        stale = [
            n
            for n, text in made.items()
            if not (FOLDER / n).exists() or (FOLDER / n).read_text() != text
        ]
        print("\n".join(f"docs/reference/{name} is not what the code says" for name in stale))
        return bool(stale)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main(sys.argv[1:]))
