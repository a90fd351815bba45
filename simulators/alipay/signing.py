"""Alipay's RSA2: SHA256withRSA over sorted `k=v&…`, base64.

Requests are signed with `sign_type` included, notices with `sign_type` left out: the classic trap.
"""

from collections.abc import Mapping


def request_content(parameters: Mapping[str, str], charset: str) -> bytes:
    """What a request's signature covers."""
    return _join(parameters, ("sign",), charset)


def notice_content(parameters: Mapping[str, str], charset: str = "utf-8") -> bytes:
    """What a notice's signature covers."""
    return _join(parameters, ("sign", "sign_type"), charset)


def _join(parameters: Mapping[str, str], without: tuple[str, ...], charset: str) -> bytes:
    kept = [
        f"{k}={parameters[k]}" for k in sorted(parameters) if parameters[k] and k not in without
    ]
    return "&".join(kept).encode(charset, "replace")
