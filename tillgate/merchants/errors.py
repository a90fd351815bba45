"""What the merchants room refuses."""

from __future__ import annotations

from tillgate.kernel.errors import Kind, Refusal


class MerchantNotFound(Refusal):
    """No such account: '{merchant}'"""

    kind = Kind.NOT_FOUND
    code = "resource_missing"
    param = "account"

    def __init__(self, merchant: object) -> None:
        super().__init__(merchant=merchant)


class NoMerchant(Refusal):
    """There is no merchant yet; `tillgate merchants create` makes one."""

    kind = Kind.NOT_FOUND


class MerchantNotNamed(Refusal):
    """There are {count} merchants; say which one, as acct_…."""

    param = "account"

    def __init__(self, count: int) -> None:
        super().__init__(count=count)


class KeyNotFound(Refusal):
    """No such API key: '{key_id}'"""

    kind = Kind.NOT_FOUND
    code = "resource_missing"
    param = "key"

    def __init__(self, key_id: str) -> None:
        super().__init__(key_id=key_id)


class ModesMixed(Refusal):
    """This provider account is for {theirs} mode and the merchant's tenant is its {ours} mode."""

    param = "livemode"

    def __init__(self, *, theirs: bool, ours: bool) -> None:
        super().__init__(theirs="live" if theirs else "test", ours="live" if ours else "test")
