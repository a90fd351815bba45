"""Forms, JSON and queries become one tree; what is too much is refused."""

import pytest

from tillgate.kernel.errors import FieldRefused
from tillgate.web.params import MAX_PARAMETERS, read_body, read_form, read_json

FORM = b"application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", {}),
        ("a=1&b=x+y&c=%E8%8C%B6", {"a": "1", "b": "x y", "c": "茶"}),
        ("a[b][c]=1&a[b][d]=2", {"a": {"b": {"c": "1", "d": "2"}}}),
        ("a%5Bb%5D=1", {"a": {"b": "1"}}),
        ("a[0]=x&a[1]=y", {"a": ["x", "y"]}),
        ("a[10]=k&a[2]=c", {"a": ["c", "k"]}),
        ("a[]=x&a[]=y", {"a": ["x", "y"]}),
        ("a[0][b]=x&a[1][b]=y", {"a": [{"b": "x"}, {"b": "y"}]}),
        ("metadata[0]=x", {"metadata": {"0": "x"}}),
        ("a=", {"a": None}),
        ("a[b]=", {"a": {"b": None}}),
        ("a", {"a": None}),
        ("a=b=c", {"a": "b=c"}),
    ],
)
def test_forms(text: str, tree: dict) -> None:
    assert read_form(text) == tree


def test_json_is_the_same_tree() -> None:
    assert read_json(b'{"a": {"b": ["", 1, true, null]}}') == {"a": {"b": [None, 1, True, None]}}
    assert read_json(b'{"a": {"0": "x"}}') == {"a": {"0": "x"}}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"a=%ff", FORM),
        (b"\xff", FORM),
        (b"a=1&a[b]=2", FORM),
        (b"a[b=1", FORM),
        (b"[a]=1", FORM),
        (b"a[b][c][d][e][f][g]=1", FORM),
        (b"&".join(b"a%d=1" % n for n in range(MAX_PARAMETERS + 1)), FORM),
        (b"a=%00", FORM),
        (b"a=" + b"x" * 30_000, FORM),
        (b"{", b"application/json"),
        (b"[]", b"application/json"),
        (b'{"a":"\\u0000"}', b"application/json"),
        (b'{"a":' + b"[" * 50 + b"]" * 50 + b"}", b"application/json"),
        (b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}", b"application/json; charset=utf-8"),
        (b'{"a":[' + b"1," * 2_000 + b"1]}", b"application/json"),
        (b"a=1", b"multipart/form-data"),
    ],
)
def test_what_is_refused(body: bytes, content_type: bytes) -> None:
    with pytest.raises(FieldRefused):
        read_body(body, content_type)


@pytest.mark.parametrize(
    ("text", "param"),
    [
        ("amount=1&description=caf%e9", "description"),
        ("metadata[a]=%ff&x=1", "metadata[a]"),
        ("metadata%5Bb%5D=%ff", "metadata[b]"),
        ("expand[]=%ff", "expand[]"),
        ("n%ffame=1", "n\ufffdame"),
    ],
)
def test_what_is_not_utf_8_is_named(text: str, param: str) -> None:
    with pytest.raises(FieldRefused) as refused:
        read_form(text)

    assert refused.value.param == param
    assert refused.value.message == f"Invalid string: {param} is not valid UTF-8."


def test_card_numbers_are_refused_everywhere_but_in_a_card() -> None:
    assert read_form("card[number]=4242424242424242") == {"card": {"number": "4242424242424242"}}
    for text in (
        "description=4242424242424242",
        "metadata[note]=pay+with+4242-4242-4242-4242",
        "metadata[4242424242424242]=x",
        "shipping[address][line1]=4242+4242+4242+4242",
        "metadata[card][number]=4242424242424242",
    ):
        with pytest.raises(FieldRefused) as refused:
            read_form(text)
        assert refused.value.field_code == "card_number_refused"
        assert "4242424242424242" not in refused.value.message.replace(
            "metadata[4242424242424242]", ""
        )
