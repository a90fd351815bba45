"""Lists of accounts: few are found by their code, many on the way by number; the pages are the same."""

import pytest

from tests.ledger.builders import TEAHOUSE, Shop
from tillgate.ledger import account_store, queries
from tillgate.ledger.model import AccountsWanted


@pytest.mark.parametrize("few", [1_000, 0])
async def test_pages_by_the_beginning_of_the_code(
    shop: Shop, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_store, "_FEW", few)
    codes = ["wallet:a", "provider:x", "wallet:b", "provider:y_", "wallet:c", "providence"]
    numbers = {code: await shop.account(code) for code in codes}

    async def page(**wanted: object) -> list[str]:
        async with shop.db.transaction(readonly=True) as tx:
            found = await queries.account_page(
                tx,
                TEAHOUSE,
                AccountsWanted(**wanted),  # type: ignore[arg-type]
            )
        return [one.code for one in found]

    middle = numbers["wallet:b"]
    assert await page(prefix="wallet:", limit=9) == ["wallet:c", "wallet:b", "wallet:a"]
    assert await page(prefix="wallet:", limit=2) == ["wallet:c", "wallet:b"]
    assert await page(prefix="provider:", limit=9) == ["provider:y_", "provider:x"]
    assert await page(prefix="wallet:", after=middle, limit=9) == ["wallet:a"]
    assert await page(prefix="wallet:", before=numbers["wallet:a"], limit=1) == ["wallet:b"]
    assert await page(prefix="wallet:", currency="usd", limit=9) == []
    assert await page(prefix="wal%", limit=9) == []
    assert await page(limit=2) == ["providence", "wallet:c"]
