"""What wallets refuse."""

from __future__ import annotations

from tillgate.kernel.errors import Kind, Refusal


class WalletNotFound(Refusal):
    """No such wallet: '{wallet_id}'"""

    kind = Kind.NOT_FOUND
    code = "resource_missing"

    def __init__(self, wallet_id: str, *, param: str = "wallet") -> None:
        super().__init__(wallet_id=wallet_id, param=param)


class WalletExists(Refusal):
    """This customer already has the wallet {wallet_id} in this currency."""

    code = "resource_already_exists"

    def __init__(self, wallet_id: str) -> None:
        super().__init__(wallet_id=wallet_id, param="currency")


class TransactionNotFound(Refusal):
    """No such wallet transaction: '{transaction_id}'"""

    kind = Kind.NOT_FOUND
    code = "resource_missing"

    def __init__(self, transaction_id: str, *, param: str = "transaction") -> None:
        super().__init__(transaction_id=transaction_id, param=param)


class HoldNotFound(Refusal):
    """No such wallet hold: '{hold_id}'"""

    kind = Kind.NOT_FOUND
    code = "resource_missing"

    def __init__(self, hold_id: str) -> None:
        super().__init__(hold_id=hold_id, param="hold")


class WalletFrozen(Refusal):
    """The wallet {wallet_id} is frozen: nothing can be spent, held or transferred from it."""

    code = "wallet_frozen"
    param = "wallet"

    def __init__(self, wallet_id: str) -> None:
        super().__init__(wallet_id=wallet_id)


class WalletClosed(Refusal):
    """The wallet {wallet_id} is closed."""

    code = "wallet_closed"

    def __init__(self, wallet_id: str, *, param: str = "wallet") -> None:
        super().__init__(wallet_id=wallet_id, param=param)


class WalletNotEmpty(Refusal):
    """The wallet {wallet_id} still has a balance of {balance}, of which {held} is held; only an empty wallet can be closed."""  # noqa: E501  a message is one line

    code = "wallet_not_empty"
    param = "wallet"

    def __init__(self, wallet_id: str, balance: int, held: int) -> None:
        super().__init__(wallet_id=wallet_id, balance=balance, held=held)


class WalletMoveRefused(Refusal):
    """The wallet {wallet_id} is {status} and cannot be {news}."""

    code = "wallet_unexpected_state"
    param = "wallet"

    def __init__(self, wallet_id: str, status: str, news: str) -> None:
        super().__init__(wallet_id=wallet_id, status=status, news=news)


class BalanceInsufficient(Refusal):
    """The wallet {wallet_id} has {available} available, which is less than {amount}."""

    code = "balance_insufficient"
    param = "amount"

    def __init__(self, wallet_id: str, available: int, amount: int) -> None:
        super().__init__(wallet_id=wallet_id, available=available, amount=amount)


class LimitExceeded(Refusal):
    """The {limit} limit of the wallet {wallet_id} is {allowed}; this would make it {reached}."""

    code = "wallet_limit_exceeded"
    param = "amount"

    def __init__(self, wallet_id: str, limit: str, allowed: int, reached: int) -> None:
        super().__init__(wallet_id=wallet_id, limit=limit, allowed=allowed, reached=reached)


class CurrencyMismatch(Refusal):
    """The wallet {wallet_id} is in {wallet_currency}, not in {currency}."""

    code = "currency_mismatch"

    def __init__(self, wallet_id: str, wallet_currency: str, currency: str) -> None:
        super().__init__(
            wallet_id=wallet_id,
            wallet_currency=wallet_currency,
            currency=currency,
            param="currency",
        )


class SameWallet(Refusal):
    """A transfer goes from one wallet to another."""

    def __init__(self) -> None:
        super().__init__(param="to")


class NotRefundable(Refusal):
    """The wallet transaction {transaction_id} is a {type}; only a spend or a capture can be refunded."""

    def __init__(self, transaction_id: str, type_: str) -> None:
        super().__init__(transaction_id=transaction_id, type=type_, param="transaction")


class RefundTooLarge(Refusal):
    """The refund of {amount} is greater than the {left} that is left of the wallet transaction {transaction_id}."""  # noqa: E501  a message is one line

    code = "amount_too_large"

    def __init__(self, transaction_id: str, amount: int, left: int) -> None:
        super().__init__(transaction_id=transaction_id, amount=amount, left=left, param="amount")


class CaptureTooLarge(Refusal):
    """The capture of {amount} is greater than the {held} held by {hold_id}."""

    code = "amount_too_large"

    def __init__(self, hold_id: str, amount: int, held: int) -> None:
        super().__init__(hold_id=hold_id, amount=amount, held=held, param="amount")


class HoldEnded(Refusal):
    """The hold {hold_id} is {status} and cannot be used any more."""

    code = "hold_unexpected_state"

    def __init__(self, hold_id: str, status: str) -> None:
        super().__init__(hold_id=hold_id, status=status, param="hold")
