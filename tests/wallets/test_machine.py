"""The state grid of a wallet, and the splitting rules."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tillgate import wallets
from tillgate.wallets.machine import MOVES, News, Status, split_refund, split_spend

AMOUNTS = st.integers(0, 1000)


def test_the_grid_in_the_docs_is_the_machine() -> None:
    lines = (wallets.__doc__ or "").splitlines()
    start = next(n for n, line in enumerate(lines) if line.split()[:2] == ["frozen", "unfrozen"])
    columns = [News(word) for word in lines[start].split()]
    drawn: dict[tuple[Status, News], Status] = {}
    for line in lines[start + 1 : start + 1 + len(Status)]:
        status, *cells = line.split()
        for news, cell in zip(columns, cells, strict=True):
            if cell != "!":
                drawn[Status(status), news] = Status(cell)

    assert drawn == dict(MOVES)


@settings(deadline=None)
@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_a_spend_takes_principal_first_and_all_of_it(
    amount: int, principal: int, bonus: int
) -> None:
    parts = split_spend(amount, principal, bonus)

    if parts is None:
        assert amount > principal + bonus
    else:
        assert sum(parts) == amount
        assert 0 <= parts[0] <= principal
        assert 0 <= parts[1] <= bonus
        assert parts[1] == 0 or parts[0] == principal


@settings(deadline=None)
@given(AMOUNTS, AMOUNTS, st.data())
def test_refunds_in_any_steps_end_where_the_spend_began(
    principal: int, bonus: int, data: st.DataObject
) -> None:
    left = [principal, bonus]
    while sum(left):
        parts = split_refund(data.draw(st.integers(1, sum(left))), *left)
        assert parts is not None
        left = [left[0] - parts[0], left[1] - parts[1]]
        assert min(left) >= 0

    assert split_refund(1, *left) is None
