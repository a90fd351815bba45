"""The invariants, each as one statement that returns the rows which break it.

A statement sees one snapshot, and each total is of one merchant, so a busy system never looks
broken for a moment. `$1` is how many of the last journals per merchant are looked at, `$2` the id
suffix from which objects are looked at, `$3` the present moment; a full examination looks at all.
What is allowed to lag behind (facts, notices, deliveries) has an age from which it counts as stuck.
"""

# ruff: noqa: S608  put together from literals only, which the type checker proves (LiteralString)

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, LiteralString

#: `money`: it does not add up. `stuck`: something that should have moved on has not.
#: `review`: a person has to look.
Concern = Literal["money", "stuck", "review"]

#: The parameters, typed in one place; each check reads them by name.
_ASKED: Final[LiteralString] = (
    "WITH asked AS (SELECT $1::bigint AS journals, $2::text AS suffix, $3::timestamptz AS at)\n"
)


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant: its name, what it promises, and the statement that finds what breaks it."""

    name: str
    promise: str
    sql: LiteralString
    concern: Concern = "money"
    #: Too dear for every minute: only in a full examination.
    is_full_only: bool = False


def _check(
    name: str,
    promise: str,
    sql: LiteralString,
    *,
    concern: Concern = "money",
    is_full_only: bool = False,
) -> Check:
    return Check(name, promise, _ASKED + sql, concern, is_full_only)


_RECENT_LINES: Final[LiteralString] = (
    "FROM asked CROSS JOIN ledger.books b CROSS JOIN LATERAL (SELECT * FROM ledger.lines l\n"
    "    WHERE l.merchant_id = b.merchant_id AND l.journal > b.last_journal - asked.journals) l\n"
)
_RECENT_POSTINGS: Final[LiteralString] = (
    "SELECT l.merchant_id, l.journal, l.line, l.debit AS number, -l.amount AS amount,\n"
    "    l.debit_after AS after, l.currency "
    + _RECENT_LINES
    + "UNION ALL\nSELECT l.merchant_id, l.journal, l.line, l.credit, l.amount, l.credit_after,\n"
    "    l.currency " + _RECENT_LINES
)

BOOKS: Final = (
    _check(
        "books_balance",
        "The balances of each merchant add up to nothing in each currency.",
        "SELECT merchant_id, currency, sum(balance) AS off FROM ledger.accounts\n"
        "GROUP BY merchant_id, currency HAVING sum(balance) <> 0",
    ),
    _check(
        "balance_follows_postings",
        "An account's balance is what its last posting left.",
        "SELECT a.merchant_id, a.number, a.code, a.balance, p.after, p.journal FROM (\n"
        "    SELECT DISTINCT ON (merchant_id, number) * FROM (" + _RECENT_POSTINGS + ") p\n"
        "    ORDER BY merchant_id, number, journal DESC, line DESC) p\n"
        "JOIN ledger.accounts a ON a.merchant_id = p.merchant_id AND a.number = p.number\n"
        "WHERE a.balance <> p.after OR a.currency <> p.currency",
    ),
    _check(
        "balance_is_sum_of_postings",
        "An account's balance is the sum of all its postings.",
        "SELECT a.merchant_id, a.number, a.code, a.balance, coalesce(p.total, 0) AS postings\n"
        "FROM ledger.accounts a LEFT JOIN (\n"
        "    SELECT merchant_id, number, sum(amount) AS total FROM (\n"
        "        SELECT merchant_id, debit AS number, -amount AS amount FROM ledger.lines\n"
        "        UNION ALL SELECT merchant_id, credit, amount FROM ledger.lines) p\n"
        "    GROUP BY merchant_id, number) p USING (merchant_id, number)\n"
        "WHERE a.balance <> coalesce(p.total, 0)",
        is_full_only=True,
    ),
    _check(
        "running_balances_chain",
        "Each posting's balance is the one before it plus its amount.",
        "SELECT merchant_id, number, journal, line, before, amount, after FROM (\n"
        "    SELECT *, lag(after) OVER (PARTITION BY merchant_id, number ORDER BY journal, line)\n"
        "        AS before FROM (" + _RECENT_POSTINGS + ") p) chain\n"
        "WHERE before + amount <> after",
    ),
    _check(
        "journals_have_no_gaps",
        "Journals are numbered one by one, up to the counter in the books.",
        "SELECT b.merchant_id, b.last_journal, min(l.journal) AS first, max(l.journal) AS last,\n"
        "    count(DISTINCT l.journal) AS journals " + _RECENT_LINES + "GROUP BY b.merchant_id,\n"
        "    b.last_journal HAVING max(l.journal) <> b.last_journal\n"
        "    OR count(DISTINCT l.journal) <> max(l.journal) - min(l.journal) + 1",
    ),
    _check(
        "floors_hold",
        "No account with a floor has less than that, with what is held set aside.",
        "SELECT merchant_id, number, code, balance, held, floor FROM ledger.accounts\n"
        "WHERE floor IS NOT NULL AND balance - held < floor",
    ),
    _check(
        "held_is_open_holds",
        "What an account has held is the sum of its open holds.",
        "SELECT a.merchant_id, a.number, a.code, a.held, coalesce(h.total, 0) AS holds\n"
        "FROM ledger.accounts a LEFT JOIN (SELECT merchant_id, account AS number,\n"
        "        sum(amount) AS total FROM ledger.holds WHERE status = 'open'\n"
        "    GROUP BY merchant_id, account) h USING (merchant_id, number)\n"
        "WHERE a.held <> coalesce(h.total, 0)",
    ),
    _check(
        "seals_chain",
        "Sealed batches of journals follow each other without gap or overlap.",
        "SELECT * FROM (SELECT merchant_id, number, first_journal, last_journal,\n"
        "        lag(last_journal, 1, 0::bigint) OVER seals AS last_before,\n"
        "        previous, lag(hash) OVER seals AS hash_before\n"
        "    FROM ledger.seals WINDOW seals AS (PARTITION BY merchant_id ORDER BY number)) chain\n"
        "WHERE first_journal <> last_before + 1 OR previous <> coalesce(hash_before, previous)",
    ),
)

MONEY_PATH: Final = (
    _check(
        "paid_is_booked_once",
        "Each paid attempt has exactly one journal, of the amount that was captured.",
        "SELECT a.merchant_id, a.id, a.amount_captured, l.amount AS booked\n"
        "FROM asked CROSS JOIN ledger.books b CROSS JOIN LATERAL (SELECT * FROM payments.attempts a\n"
        "    WHERE a.merchant_id = b.merchant_id AND a.id >= 'att_' || asked.suffix\n"
        "        AND a.status = 'paid') a\n"
        "LEFT JOIN ledger.lines l ON l.merchant_id = a.merchant_id\n"
        "    AND l.cause = 'payment:' || a.id AND l.line = 0\n"
        "WHERE l.amount IS DISTINCT FROM a.amount_captured",
    ),
    _check(
        "booked_was_paid",
        "Each journal of a payment belongs to a paid attempt, and has its currency.",
        "SELECT l.merchant_id, l.journal, l.cause, a.status, a.currency, l.currency AS booked "
        + _RECENT_LINES
        + "LEFT JOIN payments.attempts a ON a.merchant_id = l.merchant_id\n"
        "    AND a.id = substr(l.cause, 9)\n"
        "WHERE l.cause LIKE 'payment:%' AND (a.status IS DISTINCT FROM 'paid'\n"
        "    OR a.currency <> l.currency)",
    ),
    _check(
        "charge_is_credited_once",
        "A provider's charge is credited by one attempt only.",
        "SELECT merchant_id, provider_account_id, reference, count(*) AS attempts\n"
        "FROM payments.attempts WHERE status = 'paid' AND reference IS NOT NULL\n"
        "GROUP BY merchant_id, provider_account_id, reference HAVING count(*) > 1",
        is_full_only=True,
    ),
    _check(
        "received_is_captured",
        "A payment has received what its attempt captured, and only if it succeeded.",
        "SELECT p.merchant_id, p.id, p.status, p.amount_received, a.status AS attempt,\n"
        "    a.amount_captured\n"
        "FROM asked CROSS JOIN ledger.books b CROSS JOIN LATERAL (SELECT * FROM payments.payments p\n"
        "    WHERE p.merchant_id = b.merchant_id AND p.id >= 'pi_' || asked.suffix) p\n"
        "LEFT JOIN payments.attempts a ON a.merchant_id = p.merchant_id AND a.id = p.latest_attempt\n"
        "WHERE CASE WHEN p.status = 'succeeded'\n"
        "    THEN a.status IS DISTINCT FROM 'paid' OR p.amount_received <> a.amount_captured\n"
        "    ELSE p.amount_received <> 0 END",
    ),
    _check(
        "refunded_is_live_refunds",
        "What a payment has refunded is the sum of its refunds that are made or may still be.",
        "SELECT p.merchant_id, p.id, p.amount_refunded, coalesce(r.total, 0) AS refunds\n"
        "FROM asked CROSS JOIN ledger.books b CROSS JOIN LATERAL (\n"
        "    SELECT DISTINCT payment_id FROM payments.refunds r\n"
        "    WHERE r.merchant_id = b.merchant_id AND r.id >= 're_' || asked.suffix\n"
        "    UNION SELECT id FROM payments.payments p WHERE p.merchant_id = b.merchant_id\n"
        "        AND p.id >= 'pi_' || asked.suffix AND p.amount_refunded > 0) touched\n"
        "JOIN payments.payments p ON p.merchant_id = b.merchant_id AND p.id = touched.payment_id\n"
        "LEFT JOIN LATERAL (SELECT sum(amount) AS total FROM payments.refunds r\n"
        "    WHERE r.merchant_id = p.merchant_id AND r.payment_id = p.id AND NOT r.surplus\n"
        "        AND r.status NOT IN ('failed', 'canceled')) r ON true\n"
        "WHERE p.amount_refunded <> coalesce(r.total, 0)",
    ),
    _check(
        "refunds_are_booked",
        "A refund is booked when ordered, and once more when it is made or has failed.",
        "SELECT r.merchant_id, r.id, r.status, j.ordered, j.made, j.failed\n"
        "FROM asked CROSS JOIN ledger.books b CROSS JOIN LATERAL (SELECT * FROM payments.refunds r\n"
        "    WHERE r.merchant_id = b.merchant_id AND r.id >= 're_' || asked.suffix) r\n"
        "CROSS JOIN LATERAL (SELECT\n"
        "    count(*) FILTER (WHERE l.cause = 'refund:' || r.id) AS ordered,\n"
        "    count(*) FILTER (WHERE l.cause = 'refund_made:' || r.id) AS made,\n"
        "    count(*) FILTER (WHERE l.cause = 'refund_failed:' || r.id) AS failed\n"
        "    FROM ledger.lines l WHERE l.merchant_id = r.merchant_id AND l.cause IN\n"
        "        ('refund:' || r.id, 'refund_made:' || r.id, 'refund_failed:' || r.id)) j\n"
        "WHERE j.ordered = 0 OR (r.status = 'succeeded' AND (j.made = 0 OR j.failed > 0))\n"
        "    OR (r.status = 'failed' AND j.failed = 0)\n"
        "    OR (r.status IN ('created', 'unknown', 'pending') AND j.made + j.failed > 0)",
    ),
    _check(
        "statement_is_ledger",
        "Each row of a wallet's statement is what its journal moved on the wallet.",
        "SELECT t.merchant_id, t.id, t.wallet_id, t.cause, t.amount, m.moved\n"
        "FROM asked CROSS JOIN ledger.books b CROSS JOIN LATERAL (SELECT * FROM wallets.transactions t\n"
        "    WHERE t.merchant_id = b.merchant_id AND t.id >= 'wtx_' || asked.suffix) t\n"
        "JOIN wallets.wallets w ON w.merchant_id = t.merchant_id AND w.id = t.wallet_id\n"
        "CROSS JOIN LATERAL (SELECT coalesce(sum(\n"
        "        CASE WHEN l.credit IN (w.principal_account, w.bonus_account) THEN l.amount ELSE 0 END\n"
        "        - CASE WHEN l.debit IN (w.principal_account, w.bonus_account) THEN l.amount ELSE 0\n"
        "        END), 0) AS moved\n"
        "    FROM ledger.lines l WHERE l.merchant_id = t.merchant_id AND l.journal = t.journal\n"
        "        AND l.cause = t.cause) m\n"
        "WHERE t.amount <> m.moved OR t.amount <> t.principal_amount + t.bonus_amount",
    ),
    _check(
        "second_payments_go_back",
        "Money paid a second time for the same payment goes back, unless a person has seen to it.",
        "SELECT r.merchant_id, r.payment_id, r.attempt_id, r.id, r.amount, r.currency,\n"
        "    r.failure_reason FROM payments.refunds r\n"
        "WHERE r.surplus AND r.status = 'failed' AND r.look_up_at IS NULL AND NOT EXISTS (\n"
        "    SELECT FROM payments.refunds n WHERE n.merchant_id = r.merchant_id\n"
        "        AND n.payment_id = r.payment_id AND n.attempt_id = r.attempt_id AND n.surplus\n"
        "        AND n.id > r.id) AND NOT EXISTS (\n"
        "    SELECT FROM payments.breaks b WHERE b.merchant_id = r.merchant_id\n"
        "        AND b.refund_id = r.id AND b.resolved_at IS NOT NULL)",
        concern="review",
    ),
    _check(
        "breaks_are_resolved",
        "Where a provider's word and ours differ, a person has looked at it.",
        "SELECT merchant_id, id, kind, attempt_id, refund_id, created_at FROM payments.breaks\n"
        "WHERE resolved_at IS NULL",
        concern="review",
    ),
)

MOVING: Final = (
    _check(
        "outbox_moves",
        "Facts are relayed within five minutes.",
        "SELECT o.merchant_id, n.id, n.name, o.at FROM asked, runtime.unrelayed o\n"
        "CROSS JOIN LATERAL unnest(o.ids, o.names) n(id, name)\n"
        "WHERE o.at < asked.at - interval '5 minutes'",
        concern="stuck",
    ),
    _check(
        "no_fact_is_parked",
        "No subscriber has failed on a fact for ten minutes.",
        "SELECT p.merchant_id, p.fact_id, p.tries, p.note FROM runtime.parked_facts p, asked\n"
        "WHERE p.parked_at < asked.at - interval '10 minutes'",
        concern="stuck",
    ),
    _check(
        "notices_are_applied",
        "Notices of providers are applied within ten minutes.",
        "SELECT n.merchant_id, n.id, n.status, n.tries, n.note FROM runtime.notices n, asked\n"
        "WHERE n.next_at IS NOT NULL AND n.received_at < asked.at - interval '10 minutes'",
        concern="stuck",
    ),
    _check(
        "nothing_is_unknown_for_long",
        "No attempt's outcome, and no refund's, has been unknown for an hour.",
        "SELECT a.merchant_id, a.id, a.look_ups, a.created_at\n"
        "FROM payments.attempts a, asked WHERE a.look_up_at IS NOT NULL AND a.status = 'unknown'\n"
        "    AND a.created_at < asked.at - interval '1 hour'\n"
        "UNION ALL SELECT r.merchant_id, r.id, r.look_ups, r.created_at\n"
        "FROM payments.refunds r, asked WHERE r.look_up_at IS NOT NULL AND r.status = 'unknown'\n"
        "    AND r.created_at < asked.at - interval '1 hour'",
        concern="stuck",
    ),
    _check(
        "look_ups_are_made",
        "Attempts and refunds that are due are asked about within ten minutes.",
        "SELECT a.merchant_id, a.id, a.look_up_at FROM payments.attempts a, asked\n"
        "WHERE a.look_up_at < asked.at - interval '10 minutes'\n"
        "UNION ALL SELECT r.merchant_id, r.id, r.look_up_at FROM payments.refunds r, asked\n"
        "WHERE r.look_up_at < asked.at - interval '10 minutes'",
        concern="stuck",
    ),
    _check(
        "open_is_looked_after",
        "Every open attempt has a moment at which it will be asked about.",
        "SELECT a.merchant_id, a.id, a.status, a.created_at FROM asked\n"
        "CROSS JOIN ledger.books b CROSS JOIN LATERAL (SELECT * FROM payments.attempts a\n"
        "    WHERE a.merchant_id = b.merchant_id AND a.id >= 'att_' || asked.suffix) a\n"
        "WHERE a.status IN ('created', 'waiting', 'unknown') AND a.look_up_at IS NULL",
        concern="stuck",
    ),
    _check(
        "requests_are_answered",
        "No request with an Idempotency-Key has been under way for ten minutes.",
        "SELECT i.merchant_id, i.key, i.request_id, i.object_id, i.locked_at\n"
        "FROM runtime.idempotency i, asked\n"
        "WHERE i.status IS NULL AND i.locked_at < asked.at - interval '10 minutes'",
        concern="stuck",
    ),
    _check(
        "holds_expire",
        "Holds past their end are freed within ten minutes.",
        "SELECT h.merchant_id, h.id, h.account, h.amount, h.expires_at FROM ledger.holds h, asked\n"
        "WHERE h.status = 'open' AND h.expires_at < asked.at - interval '10 minutes'",
        concern="stuck",
    ),
    _check(
        "statements_are_written",
        "A journal on a wallet has its row on the statement within five minutes.",
        # Young lines first, then each step by key: joined freely, all wallets were walked for it.
        "SELECT l.merchant_id, l.journal, l.cause, w.id AS wallet_id "
        + _RECENT_LINES
        + "CROSS JOIN LATERAL (SELECT DISTINCT n.number\n"
        "    FROM (VALUES (l.debit), (l.credit)) n(number)) n\n"
        "CROSS JOIN LATERAL (SELECT * FROM ledger.accounts x WHERE x.merchant_id = l.merchant_id\n"
        "    AND x.number = n.number AND x.code LIKE 'wallet:%:principal' OFFSET 0) a\n"
        "CROSS JOIN LATERAL (SELECT * FROM wallets.wallets x WHERE x.merchant_id = l.merchant_id\n"
        "    AND x.id = split_part(a.code, ':', 2) OFFSET 0) w\n"
        "WHERE l.at < asked.at - interval '5 minutes' AND NOT EXISTS (\n"
        "    SELECT FROM wallets.transactions t WHERE t.merchant_id = w.merchant_id\n"
        "        AND t.wallet_id = w.id AND t.journal = l.journal)",
        concern="stuck",
    ),
    _check(
        "webhooks_move",
        "Deliveries to endpoints that answer are made within fifteen minutes.",
        "SELECT d.merchant_id, d.id, d.endpoint_id, d.event_id, d.next_at, d.tries\n"
        "FROM asked CROSS JOIN webhooks.endpoints e JOIN webhooks.deliveries d\n"
        "    ON d.merchant_id = e.merchant_id AND d.endpoint_id = e.id\n"
        "WHERE e.status = 'enabled' AND e.failures = 0\n"
        "    AND d.next_at < asked.at - interval '15 minutes'",
        concern="stuck",
    ),
)

CHECKS: Final = (*BOOKS, *MONEY_PATH, *MOVING)

#: Gauges of the whole installation: one row, one column for each.
GAUGES: Final[LiteralString] = """
SELECT
    (SELECT count(*) FROM payments.attempts WHERE look_up_at IS NOT NULL AND status = 'unknown')
        AS unknown_open,
    (SELECT min(created_at) FROM payments.attempts
        WHERE look_up_at IS NOT NULL AND status = 'unknown') AS unknown_oldest,
    (SELECT count(*) FROM payments.refunds WHERE look_up_at IS NOT NULL AND status = 'unknown')
        AS unknown_refunds,
    (SELECT min(created_at) FROM payments.refunds
        WHERE look_up_at IS NOT NULL AND status = 'unknown') AS unknown_refunds_oldest,
    (SELECT coalesce(sum(cardinality(ids)), 0)::bigint FROM runtime.unrelayed)
        + (SELECT count(*) FROM runtime.outbox) AS outbox,
    (SELECT least((SELECT min(at) FROM runtime.unrelayed), (SELECT min(at) FROM runtime.outbox)))
        AS outbox_oldest,
    (SELECT count(*) FROM runtime.parked_facts) AS parked,
    (SELECT count(*) FROM runtime.notices WHERE next_at IS NOT NULL) AS inbox,
    (SELECT min(received_at) FROM runtime.notices WHERE next_at IS NOT NULL) AS inbox_oldest,
    (SELECT count(*) FROM webhooks.deliveries WHERE next_at <= $1) AS webhooks_due,
    (SELECT min(next_at) FROM webhooks.deliveries WHERE next_at <= $1) AS webhooks_oldest
"""
