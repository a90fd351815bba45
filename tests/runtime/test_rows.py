"""Rows of composite types: the Structs and the types must not drift apart."""

from collections.abc import Sequence

import msgspec
import pytest

from tillgate.payments import store
from tillgate.payments.model import Attempt, Payment, Refund
from tillgate.runtime.db import Database
from tillgate.runtime.rows import RowsOf
from tillgate.topups.model import TopUp


class Tea(msgspec.Struct):
    """A Struct with one of each."""

    name: str
    tags: list[str]
    notes: dict[str, str] | None = None
    price: int | None = None


@pytest.mark.parametrize(
    ("kind", "row_type", "table"),
    [
        (Payment, "payments.payment_row", "payments.payments"),
        (Attempt, "payments.attempt_row", "payments.attempts"),
        (Refund, "payments.refund_row", "payments.refunds"),
        (TopUp, "topups.top_up_row", "topups.top_ups"),
    ],
)
async def test_a_structs_fields_are_its_types_attributes_and_its_tables_columns(
    db_url: str, kind: type[msgspec.Struct], row_type: str, table: str
) -> None:
    db = await Database.open(db_url, role=None, size=1)
    async with db.transaction(readonly=True) as tx:
        named = {
            name: [row["attname"] for row in await tx.all(_ATTRIBUTES, name)]
            for name in (row_type, table)
        }
    await db.close()

    fields = [field.encode_name for field in msgspec.structs.fields(kind)]
    assert named[row_type] == fields
    assert named[table][: len(fields)] == fields


@pytest.mark.parametrize(
    ("kind", "move_type", "names"),
    [
        (Payment, "payments.payment_move", store.PAYMENT_MOVES),
        (Attempt, "payments.attempt_move", store.ATTEMPT_MOVES),
        (Refund, "payments.refund_move", store.REFUND_MOVES),
    ],
)
async def test_what_moves_of_a_struct_is_its_move_types_attributes(
    db_url: str, kind: type[msgspec.Struct], move_type: str, names: Sequence[str]
) -> None:
    db = await Database.open(db_url, role=None, size=1)
    async with db.transaction(readonly=True) as tx:
        attributes = [row["attname"] for row in await tx.all(_ATTRIBUTES, move_type)]
    await db.close()

    assert attributes == [*store.KEY, *names]
    assert {*names} < {field.encode_name for field in msgspec.structs.fields(kind)}


_ATTRIBUTES = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
    """


def test_some_fields_alone() -> None:
    rows = RowsOf(Tea, ("price", "tags"))([Tea("Oolong", ["green"], {"from": "Anxi"}, 3)])

    assert rows == [(3, '["green"]')]


def test_what_is_no_scalar_goes_as_json() -> None:
    rows = RowsOf(Tea)([Tea("Oolong", ["green"], {"from": "Anxi"}, 3), Tea("Pu'er", [])])

    assert rows == [("Oolong", '["green"]', '{"from":"Anxi"}', 3), ("Pu'er", "[]", None, None)]
