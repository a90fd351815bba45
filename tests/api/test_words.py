"""Every field has words that help, every operation says what it may refuse."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tillgate.api import openapi, words
from tillgate.api.app import Application
from tillgate.web.operation import Operation

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def operations(application: Application) -> list[Operation]:
    return application.api.table.operations


@pytest.fixture
def document(operations: list[Operation]) -> dict[str, Any]:
    return openapi.document(operations, "http://127.0.0.1:8080")


def fields_of(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for component, schema in document["components"]["schemas"].items():
        for field, shape in schema.get("properties", {}).items():
            yield component, field, shape


def test_every_field_is_described(document: dict[str, Any]) -> None:
    found = [(name, field) for name, field, shape in fields_of(document) if not said_of(shape)]

    assert found == [], "give them words in tillgate/api/words.toml"


def test_every_parameter_is_described(document: dict[str, Any]) -> None:
    rows = [row for methods in document["paths"].values() for row in methods.values()]
    parameters = [one for row in rows for one in row.get("parameters", [])]

    assert [one["name"] for one in parameters if not said_of(one)] == []
    assert len(parameters) > 100


def said_of(shape: dict[str, Any]) -> str:
    """A description that says something is at least a sentence of three words."""
    words_of_it = str(shape.get("description", "")).split()
    is_sentence = len(words_of_it) >= 2 and words_of_it[-1].endswith((".", "`", ")"))
    return " ".join(words_of_it) if is_sentence else ""


def test_a_field_that_can_be_null_says_when(document: dict[str, Any]) -> None:
    """In answers; what may be null in a request may be left out."""
    silent = [
        f"{name}.{field}"
        for name, field, shape in fields_of(document)
        if name.startswith("Shown") and is_nullable(shape) and "null" not in said_of(shape).lower()
    ]

    assert silent == []


def is_nullable(shape: dict[str, Any]) -> bool:
    kinds = [shape, *shape.get("anyOf", [])]
    return any(kind.get("type") == "null" for kind in kinds)


def test_no_words_are_about_nothing(document: dict[str, Any], operations: list[Operation]) -> None:
    components = document["components"]["schemas"]
    requests = {one.request.__name__ for one in operations}
    used = {("paths", name) for row in operations for name in words.path_words(row.path)}
    for component, field, shape in fields_of(document):
        for kind in ("lists", "requests", "answers"):
            for section in words.sections(component, kind):
                if words.fields().get(section, {}).get(field) == shape["description"]:
                    used.add((section, field))
    known = {(section, field) for section, of in words.fields().items() for field in of}

    assert "\n".join(map(str, sorted(known - used))) == ""
    assert requests <= set(components) | {"Nothing"}


def test_every_code_means_something_and_is_answered_by_somebody(
    operations: list[Operation],
) -> None:
    names = {row.name for row in operations}

    assert words.described_operations() <= names
    assert words.used_codes(operations) == set(words.meanings())


def test_operations_announce_their_errors(document: dict[str, Any]) -> None:
    spend = document["paths"]["/v1/wallets/{wallet}/spend"]["post"]["responses"]
    retrieve = document["paths"]["/v1/wallets/{wallet}"]["get"]["responses"]

    assert "wallet_frozen" in spend["400"]["x-codes"]
    assert "`wallet_frozen`" in spend["400"]["description"]
    assert "402" not in spend
    assert "wallet_frozen" not in retrieve["400"]["x-codes"]
    assert "resource_missing" in retrieve["404"]["x-codes"]


async def test_the_page_shows_words_and_errors(client: Any) -> None:
    async with client.session.get(f"{client.base}/docs") as answer:
        page = await answer.text()

    assert "<code>requires_capture</code>" in page
    assert '<a href="#error-wallet_frozen"><code>wallet_frozen</code></a>' in page
    assert '<dt id="error-wallet_frozen">' in page
    assert "payment_method_options[wechat_pay][openid]" in page
    assert "`" not in "".join(re.findall(r"<dd>.*?</dd>", page, re.DOTALL))


@pytest.mark.parametrize("page", ["tillgate/api/docs.html", "docs/explanation/stripe-dialect.md"])
def test_it_is_said_which_objects_carry_a_sequence(document: dict[str, Any], page: str) -> None:
    schemas = [schema["properties"] for schema in document["components"]["schemas"].values()]
    carriers = {one["object"].get("const") for one in schemas if {"object", "sequence"} <= {*one}}
    text = re.sub(r"</?code>", "`", (ROOT / page).read_text("utf-8"))

    (said,) = re.findall(r"A (`.*?) carry\s+a `sequence`", text, re.DOTALL)

    assert set(re.findall(r"`(\w+)`", said)) == carriers - {None}
