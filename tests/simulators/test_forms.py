"""Our reader of forms reads what the library's reads."""

from urllib.parse import parse_qsl, quote_plus, unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.common.forms import read_form, unquoted

TEXTS = st.text(st.sampled_from('%%%+&= aA02245BbDdF",/:{}[]é支'), max_size=30)


@given(TEXTS, st.sampled_from(["utf-8", "gbk"]))
def test_any_text_is_read_as_the_library_reads_it(text: str, charset: str) -> None:
    assert unquoted(text, charset) == unquote_plus(text, charset, "replace")
    for blanks in (True, False):
        pairs = parse_qsl(text, keep_blank_values=blanks, encoding=charset, errors="replace")
        assert read_form(text, charset, blanks=blanks) == dict(pairs)


@pytest.mark.parametrize("charset", ["utf-8", "gbk"])
@given(st.text(st.characters(codec="gbk"), max_size=30))
def test_what_was_written_is_read_back(charset: str, text: str) -> None:
    assert unquoted(quote_plus(text, encoding=charset), charset) == text
