"""The lint of migrations and of locking statements: would this still run on Citus?

Each migration says in its header when it is deployed and what it locks. In a tenant's table
merchant_id stands in every primary key, unique constraint, unique index and foreign key; there is
no trigger. A statement that locks rows names the merchant. A table that is local on purpose says so
in its migration: `-- local: runtime.migrations (why)`.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

HEADER = ("context", "deploy", "locks", "rows")
DEPLOY = ("before the code", "after the code")
CREATE_TABLE = re.compile(
    r"CREATE\s+(?:UNLOGGED\s+)?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?([\w.]+)\s*\((.*)\)",
    re.IGNORECASE | re.DOTALL,
)
UNIQUE_INDEX = re.compile(
    r"CREATE\s+UNIQUE\s+INDEX.*?\bON\s+(?:ONLY\s+)?([\w.]+)\b[^(]*\(", re.IGNORECASE | re.DOTALL
)
ALTER_TABLE = re.compile(
    r"ALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?([\w.]+)\s+(.*)", re.IGNORECASE | re.DOTALL
)
KEY = re.compile(
    r"\b(?:PRIMARY\s+KEY|UNIQUE)(?:\s+NULLS\s+NOT\s+DISTINCT)?\s*\(([^)]*)\)", re.IGNORECASE
)
BARE_KEY = re.compile(
    r"\b(?:PRIMARY\s+KEY|UNIQUE)\b(?!\s*(?:NULLS\s+NOT\s+DISTINCT\s*)?\()", re.IGNORECASE
)
FOREIGN_KEY = re.compile(
    r"\bFOREIGN\s+KEY\s*\(([^)]*)\)\s*REFERENCES\s+[\w.]+\s*\(([^)]*)\)", re.IGNORECASE
)
BARE_REFERENCE = re.compile(
    r"^\s*(\w+)\s.*\bREFERENCES\s+[\w.]+\s*(?:\(([^)]*)\))?", re.IGNORECASE | re.DOTALL
)
LOCKING = re.compile(r"\bFOR\s+(?:NO\s+KEY\s+)?(?:UPDATE|SHARE)\b|\bSKIP\s+LOCKED\b", re.IGNORECASE)
MANY = re.compile(r"\bANY\s*\(|\bLIMIT\b|\bunnest\s*\(", re.IGNORECASE)
SQL_CLOCK = re.compile(r"\b(?:now\(\)|current_timestamp|clock_timestamp\(\))", re.IGNORECASE)


def without_comments(sql: str) -> str:
    return re.sub(r"--[^\n]*", "", sql)


def statements(sql: str) -> Iterator[tuple[int, str]]:
    """Yield line number and text of each statement; a $$ body belongs to its statement."""
    text, start, quoted = without_comments(sql), 0, False
    for match in re.finditer(r"\$\w*\$|;", text):
        if match.group() != ";":
            quoted = not quoted
        elif not quoted:
            body = text[start : match.start()]
            leading = len(body) - len(body.lstrip())
            yield text.count("\n", 0, start + leading) + 1, body.strip()
            start = match.end()
    if text[start:].strip():
        yield text.count("\n", 0, start) + 1, text[start:].strip()


def parts(body: str) -> list[str]:
    """Split at commas that stand in no parentheses."""
    found, depth, current = [], 0, ""
    for letter in body:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            found.append(current)
            current = ""
        else:
            current += letter
    return [part.strip() for part in [*found, current] if part.strip()]


def header(sql: str) -> Iterator[str]:
    lines = {}
    for line in sql.split("\n"):
        name, colon, value = line.removeprefix("--").strip().partition(":")
        if not line.startswith("--"):
            break
        if colon:
            lines.setdefault(name, value.strip())
    for name in HEADER:
        if not lines.get(name):
            yield f"the header lacks `-- {name}: …`"
    if lines.get("deploy") and not lines["deploy"].startswith(DEPLOY):
        yield "deploy is `before the code` or `after the code`"


def shape(statement: str, local: set[str]) -> Iterator[str]:
    if re.match(
        r"CREATE\s+(?:OR\s+REPLACE\s+)?(?:CONSTRAINT\s+)?TRIGGER", statement, re.IGNORECASE
    ):
        yield "a trigger hides logic, and Citus refuses it"
    if SQL_CLOCK.search(statement):
        yield "no column takes its time from the database's clock: the code passes `at`"
    if re.search(r"\bEXCLUDE\s+USING\b", statement, re.IGNORECASE):
        yield "an exclusion constraint cannot be distributed"
    if table := CREATE_TABLE.match(statement):
        yield from table_shape(table[1], parts(table[2]), local, is_new=True)
    elif alter := ALTER_TABLE.match(statement):
        added = [p for p in parts(alter[2]) if re.match(r"ADD\b", p, re.IGNORECASE)]
        columns = [
            re.sub(r"^ADD\s+(?:COLUMN\s+)?(?:IF\s+NOT\s+EXISTS\s+)?", "", p, flags=re.IGNORECASE)
            for p in added
        ]
        yield from table_shape(alter[1], columns, local, is_new=False)
    elif index := UNIQUE_INDEX.match(statement):
        columns = statement[index.end() :].split(")")[0]
        if index[1] not in local and "merchant_id" not in columns:
            yield f"the unique index on {index[1]} lacks merchant_id"


def table_shape(table: str, columns: list[str], local: set[str], *, is_new: bool) -> Iterator[str]:
    if table in local:
        return
    if is_new and not any(column.startswith("merchant_id ") for column in columns):
        yield f"{table} has no merchant_id (a table that is local says so: `-- local: {table} (why)`)"
    for column in columns:
        for key in KEY.findall(column):
            if "merchant_id" not in key:
                yield f"{table}: the key ({key.strip()}) lacks merchant_id"
        name = column.split(" ")[0]
        if BARE_KEY.search(column) and name != "merchant_id" and not KEY.search(column):
            yield f"{table}.{name} is unique without merchant_id"
        if foreign := FOREIGN_KEY.search(column):
            if "merchant_id" not in foreign[1] or "merchant_id" not in foreign[2]:
                yield f"{table}: the foreign key ({foreign[1].strip()}) lacks merchant_id"
        elif (bare := BARE_REFERENCE.match(column)) and bare[1] != "merchant_id":
            yield f"{table}.{bare[1]} refers to another table without merchant_id"


def migrations() -> Iterator[str]:
    numbers: dict[str, str] = {}
    for path in sorted(Path("migrations").glob("*.sql")):
        sql = path.read_text(encoding="utf-8")
        if not re.fullmatch(r"\d{4}_[a-z0-9_]+\.sql", path.name):
            yield f"{path}:1: a migration is named 0042_what_it_does.sql"
        if (other := numbers.setdefault(path.name[:4], path.name)) != path.name:
            yield f"{path}:1: has the number of {other}"
        yield from (f"{path}:1: {message}" for message in header(sql))
        local = set(re.findall(r"^--\s*local:\s*([\w.]+)", sql, re.MULTILINE))
        for line, statement in statements(sql):
            yield from (f"{path}:{line}: {message}" for message in shape(statement, local))


def locking_statements() -> Iterator[str]:
    for path in sorted(Path("tillgate").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
                continue
            sql = node.value
            if not LOCKING.search(sql) or not re.search(r"\bSELECT\b", sql):
                continue
            if "merchant_id" not in sql:
                yield f"{path}:{node.lineno}: a statement that locks rows names its merchant"
            if MANY.search(sql) and not re.search(r"\bORDER\s+BY\b", sql, re.IGNORECASE):
                yield f"{path}:{node.lineno}: more than one row is locked in a stated order (ORDER BY)"


if __name__ == "__main__":
    os.chdir(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[1])
    problems = [*migrations(), *locking_statements()]
    print("\n".join(problems) or "migrations are in order")
    sys.exit(bool(problems))
