"""What the ledger refuses."""

from __future__ import annotations

from tillgate.kernel.errors import Kind, Refusal


class InsufficientFunds(Refusal):
    """The account {account} has {available} available, which is less than {needed}."""

    code = "balance_insufficient"

    def __init__(self, account: str, available: int, needed: int) -> None:
        super().__init__(account=account, available=available, needed=needed)


class AccountNotFound(Refusal):
    """There is no ledger account {account}."""

    kind = Kind.NOT_FOUND
    code = "resource_missing"

    def __init__(self, account: object) -> None:
        super().__init__(account=account)


class CurrencyDiffers(Refusal):
    """A line moves value between {debit} and {credit}, which are not of the same currency."""

    code = "currency_mismatch"

    def __init__(self, debit: str, credit: str) -> None:
        super().__init__(debit=debit, credit=credit)


class HoldEnded(Refusal):
    """The hold {hold_id} is {status} and cannot be used any more."""

    code = "hold_ended"

    def __init__(self, hold_id: str, status: str) -> None:
        super().__init__(hold_id=hold_id, status=status)
