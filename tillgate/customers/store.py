"""SQL of the schema `customers`."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import asyncpg
import msgspec

from tillgate.customers.model import Customer, PaymentMethod
from tillgate.kernel.paging import Page, Rows
from tillgate.runtime.db import Tx
from tillgate.runtime.listing import select_page

Key = tuple[int, str]

_encode = msgspec.json.Encoder().encode
_decode_customer = msgspec.json.Decoder(Customer).decode
_decode_method = msgspec.json.Decoder(PaymentMethod).decode


async def insert_customers(tx: Tx, customers: Sequence[Customer]) -> None:
    """Write new customers."""
    await tx.run(
        "INSERT INTO customers.customers"
        " SELECT * FROM jsonb_populate_recordset(NULL::customers.customers, $1::text::jsonb)",
        _json(customers),
    )


async def insert_methods(tx: Tx, methods: Sequence[PaymentMethod]) -> None:
    """Write new payment methods."""
    await tx.run(
        "INSERT INTO customers.payment_methods"
        " SELECT * FROM jsonb_populate_recordset(NULL::customers.payment_methods, $1::text::jsonb)",
        _json(methods),
    )


async def lock_customers(tx: Tx, keys: Collection[Key]) -> list[Customer]:
    """Read customers, in order, and hold their rows until the transaction ends."""
    rows = await tx.all(
        "SELECT row_to_json(c)::text AS row FROM unnest($1::bigint[], $2::text[]) k(merchant_id, id)"
        " JOIN customers.customers c ON c.merchant_id = k.merchant_id AND c.id = k.id"
        " ORDER BY c.merchant_id, c.id FOR UPDATE OF c",
        [key[0] for key in keys],
        [key[1] for key in keys],
    )
    return [_customer(row) for row in rows]


async def lock_methods(tx: Tx, keys: Collection[Key]) -> list[PaymentMethod]:
    """Read payment methods, in order, and hold their rows until the transaction ends."""
    rows = await tx.all(
        "SELECT row_to_json(m)::text AS row FROM unnest($1::bigint[], $2::text[]) k(merchant_id, id)"
        " JOIN customers.payment_methods m ON m.merchant_id = k.merchant_id AND m.id = k.id"
        " ORDER BY m.merchant_id, m.id FOR UPDATE OF m",
        [key[0] for key in keys],
        [key[1] for key in keys],
    )
    return [_method(row) for row in rows]


async def select_owners(tx: Tx, keys: Collection[Key]) -> set[Key]:
    """Read which customers these payment methods belong to."""
    rows = await tx.all(
        "SELECT m.merchant_id, m.customer_id FROM unnest($1::bigint[], $2::text[]) k(merchant_id, id)"
        " JOIN customers.payment_methods m ON m.merchant_id = k.merchant_id AND m.id = k.id"
        " WHERE m.customer_id IS NOT NULL",
        [key[0] for key in keys],
        [key[1] for key in keys],
    )
    return {(row["merchant_id"], row["customer_id"]) for row in rows}


async def update_customers(tx: Tx, customers: Sequence[Customer]) -> None:
    """Write customers as they are now."""
    await tx.run(
        """
        UPDATE customers.customers c SET email = u.email, name = u.name, phone = u.phone,
            description = u.description, address = u.address, shipping = u.shipping,
            preferred_locales = u.preferred_locales, metadata = u.metadata,
            default_payment_method = u.default_payment_method, sequence = u.sequence,
            deleted_at = u.deleted_at
        FROM jsonb_populate_recordset(NULL::customers.customers, $1::text::jsonb) u
        WHERE c.merchant_id = u.merchant_id AND c.id = u.id
        """,
        _json(customers),
    )


async def update_methods(tx: Tx, methods: Sequence[PaymentMethod]) -> None:
    """Write payment methods as they are now."""
    await tx.run(
        """
        UPDATE customers.payment_methods m SET customer_id = u.customer_id, details = u.details,
            billing_details = u.billing_details, metadata = u.metadata, sequence = u.sequence,
            detached_at = u.detached_at
        FROM jsonb_populate_recordset(NULL::customers.payment_methods, $1::text::jsonb) u
        WHERE m.merchant_id = u.merchant_id AND m.id = u.id
        """,
        _json(methods),
    )


async def select_customer(tx: Tx, merchant_id: int, customer_id: str) -> Customer | None:
    """Read one customer."""
    row = await tx.maybe(
        "SELECT row_to_json(c)::text AS row FROM customers.customers c WHERE merchant_id = $1 AND id = $2",
        merchant_id,
        customer_id,
    )
    return None if row is None else _customer(row)


async def select_customers(
    tx: Tx, merchant_id: int, page: Page, *, email: str | None
) -> Rows[Customer]:
    """Read a page of customers."""
    if email is not None:
        return await select_page(
            tx,
            "SELECT row_to_json(c)::text AS row FROM customers.customers c",
            " AND deleted_at IS NULL AND email = $7",
            (merchant_id, "cus", email),
            page,
            _customer,
        )
    return await select_page(
        tx,
        "SELECT row_to_json(c)::text AS row FROM customers.customers c",
        " AND deleted_at IS NULL",
        (merchant_id, "cus"),
        page,
        _customer,
    )


async def select_method(tx: Tx, merchant_id: int, method_id: str) -> PaymentMethod | None:
    """Read one payment method."""
    row = await tx.maybe(
        "SELECT row_to_json(m)::text AS row FROM customers.payment_methods m"
        " WHERE merchant_id = $1 AND id = $2",
        merchant_id,
        method_id,
    )
    return None if row is None else _method(row)


async def select_methods(
    tx: Tx,
    merchant_id: int,
    customer_id: str,
    page: Page,
    *,
    kind: str | None,
    redisplay: str | None,
) -> Rows[PaymentMethod]:
    """Read a page of a customer's payment methods, of one type or `allow_redisplay` if asked."""
    return await select_page(
        tx,
        "SELECT row_to_json(m)::text AS row FROM customers.payment_methods m",
        " AND customer_id = $7 AND ($8::text IS NULL OR type = $8)"
        " AND ($9::text IS NULL OR coalesce(details->>'allow_redisplay', 'unspecified') = $9)",
        (merchant_id, "pm", customer_id, kind, redisplay),
        page,
        _method,
    )


def _json(rows: Sequence[object]) -> str:
    return _encode(rows).decode()


def _customer(row: asyncpg.Record) -> Customer:
    return _decode_customer(row["row"])


def _method(row: asyncpg.Record) -> PaymentMethod:
    return _decode_method(row["row"])
