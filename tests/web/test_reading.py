"""From the tree to a Struct, and errors in Stripe's words."""

from typing import Annotated, Literal

import pytest
from msgspec import UNSET, Meta, UnsetType

from tillgate.kernel.errors import FieldRefused
from tillgate.kernel.metadata import merge
from tillgate.web.params import read_form
from tillgate.web.reading import (
    Amount,
    MetadataChange,
    Request,
    Text,
    read,
    read_metadata,
    read_metadata_change,
)


class Inner(Request, frozen=True, kw_only=True):
    size: int
    name: Text | None = None
    warm: bool | None = None


class Order(Request, frozen=True, kw_only=True):
    amount: Amount
    kind: Literal["tea", "cake"] = "tea"
    warm: bool = False
    note: Text | UnsetType | None = UNSET
    tags: tuple[Annotated[str, Meta(max_length=5)], ...] = ()
    inner: Inner | None = None
    sizes: list[int] = []
    parts: list[Inner] = []
    until: Inner | int | None = None
    metadata: MetadataChange | UnsetType = UNSET


def test_what_is_read() -> None:
    order = read(
        read_form("amount=100&kind=cake&warm=true&note=&tags[]=a&inner[size]=2&metadata[a]="), Order
    )

    assert order == Order(
        amount=100, kind="cake", warm=True, note=None, tags=("a",), inner=Inner(size=2),
        metadata={"a": None},
    )  # fmt: skip
    assert read(read_form("amount=1"), Order).note is UNSET


@pytest.mark.parametrize(
    ("text", "param", "code"),
    [
        ("", "amount", "parameter_missing"),
        ("amount=", "amount", "parameter_invalid_empty"),
        ("amount=x", "amount", "parameter_invalid_integer"),
        ("amount=1.5", "amount", "parameter_invalid_integer"),
        ("amount=1.0", "amount", "parameter_invalid_integer"),
        ("amount=1e2", "amount", "parameter_invalid_integer"),
        ("amount=1&inner[size]=2.0", "inner[size]", "parameter_invalid_integer"),
        ("amount=1&sizes[]=1&sizes[]=2.0", "sizes[1]", "parameter_invalid_integer"),
        ("amount=1&parts[0][size]=2.0", "parts[0][size]", "parameter_invalid_integer"),
        ("amount=1&until=2.0", "until", "parameter_invalid_integer"),
        ("amount=1&until=x", "until", "parameter_invalid_integer"),
        ("amount=1&until[size]=2.0", "until[size]", "parameter_invalid_integer"),
        ("amount=1&inner[size]=2&inner[warm]=x", "inner[warm]", "parameter_invalid_boolean"),
        ("amount[x]=1", "amount", "parameter_invalid_object"),
        ("amount=0", "amount", "parameter_invalid_integer"),
        ("amount=-1", "amount", "parameter_invalid_integer"),
        ("amount=9999999999999", "amount", "amount_too_large"),
        ("amount=1&kind=soup", "kind", "parameter_invalid_enum"),
        ("amount=1&warm=perhaps", "warm", "parameter_invalid_boolean"),
        ("amount=1&tags=a", "tags", "parameter_invalid_array"),
        ("amount=1&tags[]=abcdef", "tags[0]", "parameter_too_long"),
        ("amount=1&inner=2", "inner", "parameter_invalid_object"),
        ("amount=1&inner[name]=x", "inner[size]", "parameter_missing"),
        ("amount=1&inner[size]=x", "inner[size]", "parameter_invalid_integer"),
        ("amount=1&inner[size]=1&inner[colour]=red", "inner[colour]", "parameter_unknown"),
        ("amount=1&colour=red", "colour", "parameter_unknown"),
        ("amount=1&metadata[a][b]=c", "metadata", "parameter_invalid_object"),
    ],
)
def test_each_error_names_its_parameter(text: str, param: str, code: str) -> None:
    with pytest.raises(FieldRefused) as refused:
        read(read_form(text), Order)

    assert (refused.value.param, refused.value.field_code) == (param, code)


def test_metadata_may_hold_any_number() -> None:
    for value in (1.5, 10.0, 7):
        assert read({"amount": 1, "metadata": {"n": value}}, Order).metadata == {"n": value}


def test_metadata_is_merged_key_by_key() -> None:
    current = {"a": "1", "b": "2"}

    for change, changed in (
        ({"a": None, "c": 3, "d": True}, {"b": "2", "c": "3", "d": "true"}),
        (None, {}),
        (UNSET, current),
    ):
        assert merge(current, read_metadata_change(change)) == changed
    for change in ({"x" * 41: "1"}, {"a[b]": "1"}, {"a": "x" * 501}, {"": "1"}):
        with pytest.raises(FieldRefused):
            read_metadata_change(change)
    with pytest.raises(FieldRefused):
        read_metadata({str(n): "x" for n in range(51)})
