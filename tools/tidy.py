"""The second lint: sizes, names, borders, who owns which SQL, tenancy, tense of facts.

What ruff and import-linter cannot say, in one pass over the syntax trees: `python tools/tidy.py`.
There are no exemptions at birth; the few names allowed below carry their reason.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vocabulary import (
    BANNED,
    HANDED_OUT,
    KITS,
    NOT_AT_THE_STORE,
    PAST,
    PRIVATE,
    SHAPE,
    STANDARD_ALLOWED,
    STATES,
    VAGUE,
)

MAX_FILE, MAX_FUNCTION = 500, 60
ENVIRONMENT = {"tillgate/runtime/settings.py"}
# They ask questions of every schema and change nothing.
READS_EVERYTHING = re.compile(r"tillgate/entry/doctor\w*\.py")
TABLE = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE|TABLE|ONLY)\s+([a-z_]+)\.([a-z_]+)")
IS_SQL = re.compile(r"^\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|ALTER)\b")
SQL_CLOCK = re.compile(
    r"\b(?:now\(\)|current_timestamp|clock_timestamp\(\)|localtimestamp)", re.IGNORECASE
)
FACT = re.compile(r"^[a-z_]+\.[a-z_]+$")


@dataclass(frozen=True)
class Source:
    """One file, read once."""

    path: str
    text: str
    tree: ast.Module
    rooms: frozenset[str]
    strings: tuple[tuple[int, str], ...] = field(default=())

    @property
    def parts(self) -> list[str]:
        return self.path.removesuffix(".py").split("/")

    @property
    def room(self) -> str:
        return self.parts[1] if len(self.parts) > 2 else ""

    @property
    def name(self) -> str:
        return self.parts[-1]

    @property
    def kind(self) -> str:
        return kind_of(self.name)


Complaint = tuple[int, str]


def kind_of(name: str) -> str:
    """`wire_refunds` is a wire, `seal_store` is a store."""
    if name.endswith("_store"):
        return "store"
    return name if name.startswith("_") else name.partition("_")[0]


def sizes(source: Source) -> Iterator[Complaint]:
    lines = source.text.count("\n")
    if lines > MAX_FILE:
        yield 1, f"{lines} lines; a file has at most {MAX_FILE}"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not makes_class(node):
            length = (node.end_lineno or 0) - node.lineno + 1 - uncounted_lines(node)
            if length > MAX_FUNCTION:
                yield (
                    node.lineno,
                    f"{node.name} has {length} lines; a function has at most {MAX_FUNCTION}",
                )


def makes_class(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """A function around a class (a state machine of a test) is as long as its class."""
    return any(isinstance(part, ast.ClassDef) for part in node.body)


def uncounted_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """A promise (docstring), a statement of SQL and a table that is returned may be long."""
    last = node.body[-1]
    lines = sum(
        (part.end_lineno or 0) - part.lineno
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    )
    if isinstance(last, ast.Return) and isinstance(last.value, ast.Tuple | ast.List | ast.Dict):
        lines += (last.end_lineno or 0) - last.lineno
    return lines


def module_names(source: Source) -> Iterator[Complaint]:
    for part in source.parts[1:]:
        if part in VAGUE:
            yield 1, f"{part!r} fits everything and so collects everything"
        if part in BANNED and source.room != "connectors":
            yield 1, f"{part!r} is not our word; see docs/glossary.md"
    if source.name in sys.stdlib_module_names and source.path not in STANDARD_ALLOWED:
        yield 1, f"{source.name!r} is the name of a standard module"
    # A file that grew too long is split by subject: wire_refunds.py is still the room's wire.
    if source.room and source.room not in KITS and source.kind not in SHAPE:
        page = Path(source.path).parent / "__init__.py"
        if not page.exists() or f"`{source.name}" not in page.read_text(encoding="utf-8"):
            yield 1, f"a room has no {source.name}.py, unless its page says why: `{source.name}`"


def class_names(source: Source) -> Iterator[Complaint]:
    if source.room == "connectors":
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef):
            for word in re.findall(r"[A-Z][a-z]*", node.name):
                if word.lower() in BANNED | VAGUE - {"types", "base", "core", "common"}:
                    yield (
                        node.lineno,
                        f"class {node.name}: {word!r} is not our word; see docs/glossary.md",
                    )


def transactions_are_tx(source: Source) -> Iterator[Complaint]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.arg) and isinstance(node.annotation, ast.Name):
            annotation, name = node.annotation.id, node.arg
            if annotation == "Tx" and name != "tx":
                yield node.lineno, f"a transaction is always called tx, not {name}"


def borders(source: Source) -> Iterator[Complaint]:
    for line, module in imports(source.tree):
        parts = module.split(".")
        if len(parts) < 3 or parts[0] != "tillgate" or parts[1] in KITS:
            continue
        kind = kind_of(parts[2])
        if kind not in PRIVATE:
            continue
        if parts[1] != source.room:
            if source.room not in PRIVATE[kind] and module not in HANDED_OUT:
                yield line, f"{parts[2]} is private to {parts[1]}"
        elif parts[2] == "store" and source.kind in NOT_AT_THE_STORE:
            yield line, f"{source.name} reaches the store through commands and queries"


def imports(tree: ast.Module) -> Iterator[Complaint]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def sql_has_one_owner(source: Source) -> Iterator[Complaint]:
    for line, text in source.strings:
        if SQL_CLOCK.search(text) and IS_SQL.match(text):
            yield line, "SQL does not read the clock: pass `at` (clock.now())"
        for schema, table in TABLE.findall(text):
            if schema not in source.rooms or READS_EVERYTHING.fullmatch(source.path):
                continue
            if schema != source.room or (schema not in KITS and source.kind != "store"):
                yield line, f"SQL of {schema}.{table} belongs into tillgate/{schema}/store.py"


def environment(source: Source) -> Iterator[Complaint]:
    if source.path in ENVIRONMENT:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {
            "os.environ",
            "os.getenv",
            "os.environb",
        }:
            yield node.lineno, "only runtime/settings.py reads the environment"


def queries_only_read(source: Source) -> Iterator[Complaint]:
    if source.kind != "queries":
        return
    for line, text in calls(source.tree):
        if re.match(r"store\w*\.(?:insert|update|delete|lock|claim|mark)_", text):
            yield line, f"queries only read: {text}"


def calls(tree: ast.Module) -> Iterator[Complaint]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


def facts_are_past(source: Source) -> Iterator[Complaint]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Fact":
            named = [k.value for k in node.keywords if k.arg == "name"] + node.args[2:3]
            yield from tense(
                (node.lineno, str(n.value)) for n in named if isinstance(n, ast.Constant)
            )
    if source.name == "events":
        yield from tense((line, text) for line, text in source.strings if FACT.match(text))


def tense(names: Iterable[Complaint]) -> Iterator[Complaint]:
    for line, name in names:
        what = name.rpartition(".")[2]
        is_past = any(re.search("(?<!ce)ed$", word) or word in PAST for word in what.split("_"))
        if not FACT.match(name) or not (is_past or what in STATES):
            yield line, f"a fact is `thing.past_tense`, not {name!r}"


def tenancy(source: Source) -> Iterator[Complaint]:
    if source.kind != "store" or source.room in KITS:
        return
    for node in source.tree.body:
        if isinstance(node, ast.AsyncFunctionDef):
            names = [argument.arg for argument in node.args.args + node.args.kwonlyargs]
            takes_id = [name for name in names if re.search(r"(?:^|_)(?:id|ids)$", name)]
            if takes_id and not any("merchant" in name for name in names):
                yield node.lineno, f"{node.name} takes {takes_id[0]} and no merchant_id"


def pages_hold_no_code(source: Source) -> Iterator[Complaint]:
    if source.name == "__init__" and source.parts[0] == "tillgate" and len(source.tree.body) > 1:
        yield source.tree.body[1].lineno, "a room's page holds its docstring and no code"


CHECKS = (
    sizes, module_names, class_names, transactions_are_tx, borders, sql_has_one_owner, environment,
    queries_only_read, facts_are_past, tenancy, pages_hold_no_code,
)  # fmt: skip
#: Elsewhere than in the product only the sizes count.
ELSEWHERE = (sizes,)


def read(path: Path, rooms: frozenset[str]) -> Source:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, str(path))
    strings = tuple(
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    return Source(path.as_posix(), text, tree, rooms, strings)


def complaints() -> list[str]:
    """Return what is not tidy in the current directory."""
    rooms = frozenset(page.parent.name for page in Path("tillgate").glob("*/__init__.py"))
    found: list[str] = []
    for top in ("tillgate", "simulators", "tools", "tests", "bench"):
        for path in sorted(Path(top).rglob("*.py")):
            source = read(path, rooms)
            for check in CHECKS if top == "tillgate" else ELSEWHERE:
                found += [f"{source.path}:{line}: {message}" for line, message in check(source)]
    return found


if __name__ == "__main__":
    os.chdir(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[1])
    problems = complaints()
    print("\n".join(problems) or "tidy")
    sys.exit(bool(problems))
