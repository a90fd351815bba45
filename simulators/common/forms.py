"""Reading urlencoded text: forms, query strings, and whatever else is written that way.

The library takes a text apart at every percent sign. A signature and a JSON in a form are full of
the same few, and putting those back one kind at a time is many times faster.
"""

from functools import lru_cache
from typing import Final
from urllib.parse import unquote

_FREQUENT: Final = tuple((f"%{ord(sign):02X}", sign) for sign in '",/:=+{}[]')


def unquoted(text: str, charset: str = "utf-8") -> str:
    """The text that was encoded; bytes that are none in the charset are replaced."""
    if "+" in text:
        text = text.replace("+", " ")
    if "%" in text:
        # None of these signs can be half of another code, so the order does not matter.
        for code, sign in _FREQUENT:
            text = text.replace(code, sign)
        if "%" in text:
            text = unquote(text, charset, "replace")
    return text


def read_form(text: str, charset: str = "utf-8", *, blanks: bool = True) -> dict[str, str]:
    """The fields of a form, without the blank ones if so asked; the last of a name is kept."""
    form: dict[str, str] = {}
    for pair in text.split("&"):
        name, _, value = pair.partition("=")
        if value or (blanks and pair):
            form[_unquoted_name(name, charset)] = unquoted(value, charset)
    return form


#: There are few names, and they come again with every form.
_unquoted_name: Final = lru_cache(maxsize=512)(unquoted)
