"""The facts of wallets. Each carries the whole wallet; its sequence is the wallet's."""

from __future__ import annotations

from typing import Final

import msgspec

from tillgate.wallets.model import Transaction, WalletHold, WalletView

OPENED: Final = "wallet.opened"
UPDATED: Final = "wallet.updated"
CREDITED: Final = "wallet.credited"
DEBITED: Final = "wallet.debited"
HOLD_CREATED: Final = "wallet.hold_created"
HOLD_CAPTURED: Final = "wallet.hold_captured"
HOLD_RELEASED: Final = "wallet.hold_released"
HOLD_EXPIRED: Final = "wallet.hold_expired"
#: `wallet.frozen`, `wallet.unfrozen`, `wallet.closed`, `wallet.reopened`: one for each news.
MOVED: Final = "wallet."


class WalletFact(msgspec.Struct, frozen=True, omit_defaults=True):
    """The data of every fact of this room: what is not concerned is None."""

    wallet: WalletView
    transaction: Transaction | None = None
    hold: WalletHold | None = None
