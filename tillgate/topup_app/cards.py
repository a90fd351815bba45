"""Which cards a customer may pick here: saved ones, and the provider's test cards in test mode.

No page of ours has a field for a card number; a card is only ever named by its token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tillgate.customers import queries as customers
from tillgate.customers.model import PaymentMethod
from tillgate.kernel.paging import Page
from tillgate.runtime.db import Tx


@dataclass(frozen=True, slots=True)
class Card:
    """A card to choose. `hint` is the key of a text, for test cards."""

    token: str
    name: str
    hint: str | None = None


TEST_CARDS: Final = (
    Card("pm_card_visa", "Visa •••• 4242", "card_test_visa"),
    Card("pm_card_mastercard", "Mastercard •••• 4444", "card_test_mastercard"),
    Card("pm_card_threeDSecure2Required", "Visa •••• 3220", "card_test_3ds"),
    Card("pm_card_chargeDeclined", "Visa •••• 0002", "card_test_declined"),
    Card("pm_card_chargeDeclinedInsufficientFunds", "Visa •••• 9995", "card_test_insufficient"),
)


@dataclass(frozen=True, slots=True)
class Cards:
    """What can be chosen."""

    saved: Sequence[Card]
    test: Sequence[Card]

    @property
    def tokens(self) -> frozenset[str]:
        """Those that an order may name."""
        return frozenset(card.token for card in (*self.saved, *self.test))


async def cards_of(tx: Tx, merchant_id: int, customer_id: str, *, livemode: bool) -> Cards:
    """Return the cards of a customer, newest first."""
    page = Page(limit=10)
    rows = await customers.methods(tx, merchant_id, customer_id, page, kind="card")
    return Cards([_saved(method) for method in rows.data], () if livemode else TEST_CARDS)


def _saved(method: PaymentMethod) -> Card:
    brand = str(method.details.get("brand") or "card").capitalize()
    return Card(
        method.provider_token or method.id, f"{brand} •••• {method.details.get('last4', '')}"
    )
