"""The judge: reads the database and the banks' own books, and says what does not agree.

It shares no code with what makes the traffic, nor with the code under test: its rules are written
again from what was promised, in SQL and plain Python.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import asyncpg

OPEN = ("created", "waiting", "unknown", "authorised")


async def complaints(
    db: asyncpg.Connection, truth: dict[str, Any], acknowledged: list[tuple[str, str, str]]
) -> list[str]:
    """Return everything that is wrong; nothing, if all is well."""
    rows = {
        name: [dict(row) for row in await db.fetch(f"SELECT * FROM {table}")]
        for name, table in {
            "payments": "payments.payments",
            "attempts": "payments.attempts",
            "refunds": "payments.refunds",
            "breaks": "payments.breaks",
            "lines": "ledger.lines ORDER BY merchant_id, journal, line",
            "accounts": "ledger.accounts",
            "facts": "runtime.facts",
            "notices": "runtime.notices",
        }.items()
    }
    found: list[str] = []
    for check in (_books, _money, _refunds, _payments, _words, _facts, _rest):
        found += check(rows, truth)
    return found + _promises(rows, acknowledged)


def _books(rows: Any, _truth: Any) -> list[str]:
    """Balances are their lines; nothing below its floor; journals without gaps."""
    found = []
    moved: Counter[tuple[int, int]] = Counter()
    for line in rows["lines"]:
        moved[line["merchant_id"], line["debit"]] -= line["amount"]
        moved[line["merchant_id"], line["credit"]] += line["amount"]
        found += [
            f"running balance of {line['cause']} is wrong"
            for side in ("debit", "credit")
            if moved[line["merchant_id"], line[side]] != line[f"{side}_after"]
        ]
    for account in rows["accounts"]:
        key = (account["merchant_id"], account["number"])
        if account["balance"] != moved[key]:
            found.append(
                f"{account['code']} stands at {account['balance']}, lines say {moved[key]}"
            )
        if account["floor"] is not None and account["balance"] - account["held"] < account["floor"]:
            found.append(f"{account['code']} is below its floor: {account['balance']}")
    numbers = {(line["merchant_id"], line["journal"]) for line in rows["lines"]}
    for merchant in {number[0] for number in numbers}:
        mine = [number for who, number in numbers if who == merchant]
        if len(mine) != max(mine):
            found.append("the journals have a gap")
    causes = Counter((line["cause"], line["line"]) for line in rows["lines"])
    return found + [f"{cause} is booked twice" for cause, times in causes.items() if times > 1]


def _money(rows: Any, truth: Any) -> list[str]:
    """What a bank took is booked once, to the cent, and nothing else is."""
    found = []
    attempts = {attempt["id"]: attempt for attempt in rows["attempts"]}
    booked: Counter[str] = Counter()
    for line in rows["lines"]:
        kind, _, thing = line["cause"].partition(":")
        if kind == "payment" and line["line"] == 0:
            booked[thing] += line["amount"]
    for bank, books in truth.items():
        for number, order in books["orders"].items():
            took = order["captured"] if order["state"] == "paid" else 0
            attempt = attempts.get(number)
            if attempt is None:
                if took:
                    found.append(f"{bank} took {took} for {number}, which we do not know")
                continue
            held_back = order["told"] != order["captured"] and attempt["status"] == "mismatched"
            if held_back and booked[number]:
                found.append(f"{number} was held back and booked")
            if not held_back and booked[number] != took:
                found.append(
                    f"{bank} took {took} for {number} ({attempt['status']}), we booked {booked[number]}"
                )
    known = {number for books in truth.values() for number in books["orders"]}
    found += [f"{n} was booked, and no bank has it" for n in booked if n not in known]
    for bank in truth:
        found += _owed(bank, rows, truth[bank])
    return found


def _owed(bank: str, rows: Any, books: Any) -> list[str]:
    """What a bank owes us by our books is what it holds for us by its own."""
    held_back = {a["id"] for a in rows["attempts"] if a["status"] == "mismatched"}
    holds = sum(
        order["captured"]
        - sum(r["amount"] for r in order["refunds"].values() if r["state"] == "made")
        for number, order in books["orders"].items()
        if order["state"] == "paid" and number not in held_back
    )
    code = f"provider:{bank}:{bank}:receivable"
    ours = -sum(a["balance"] for a in rows["accounts"] if a["code"] == code)
    return [] if ours == holds else [f"{bank} holds {holds} for us, our books say {ours}"]


def _refunds(rows: Any, truth: Any) -> list[str]:
    """Each refund stands where the bank has it, and all of them are within what was taken."""
    found = []
    theirs = {
        refund_id: refund
        for books in truth.values()
        for order in books["orders"].values()
        for refund_id, refund in order["refunds"].items()
    }
    ours = {refund["id"]: refund for refund in rows["refunds"]}
    found += [f"a bank has refund {name}, and we do not" for name in theirs if name not in ours]
    for name, refund in ours.items():
        state = theirs[name]["state"] if name in theirs else "never arrived"
        expected = {"made": "succeeded", "failed": "failed"}.get(state)
        if refund["status"] != expected:
            found.append(f"refund {name} is {refund['status']}, the bank says {state}")
        elif theirs[name]["amount"] != refund["amount"]:
            found.append(f"refund {name} is of another amount at the bank")
    captured = {attempt["id"]: attempt["amount_captured"] for attempt in rows["attempts"]}
    given: Counter[str] = Counter()
    for refund in rows["refunds"]:
        given[refund["attempt_id"]] += refund["amount"] if refund["status"] != "failed" else 0
    found += [
        f"{given[name]} of {captured[name]} of {name} is given back"
        for name in given
        if given[name] > captured[name]
    ]
    for books in truth.values():
        for number, order in books["orders"].items():
            back = sum(r["amount"] for r in order["refunds"].values() if r["state"] == "made")
            if back > order["captured"]:
                found.append(f"the bank gave back {back} of {order['captured']} of {number}")
    return found


def _payments(rows: Any, _truth: Any) -> list[str]:
    """A payment says what its attempts and refunds add up to."""
    found = []
    for payment in rows["payments"]:
        mine = [a for a in rows["attempts"] if a["payment_id"] == payment["id"]]
        paid = [a for a in mine if a["status"] == "paid"]
        refunds = [r for r in rows["refunds"] if r["payment_id"] == payment["id"]]
        surplus = {r["attempt_id"] for r in refunds if r["surplus"]}
        credited = [a for a in paid if a["id"] not in surplus]
        if (payment["status"] == "succeeded") != bool(paid):
            found.append(f"{payment['id']} is {payment['status']} with {len(paid)} paid attempts")
        if len(credited) > 1:
            found.append(f"{payment['id']} was credited {len(credited)} times")
        if payment["amount_received"] != sum(a["amount_captured"] for a in credited):
            found.append(f"{payment['id']} says it received {payment['amount_received']}")
        back = sum(r["amount"] for r in refunds if not r["surplus"] and r["status"] != "failed")
        if payment["amount_refunded"] != back:
            found.append(
                f"{payment['id']} says {payment['amount_refunded']} refunded, it is {back}"
            )
        is_open = [a["id"] for a in mine if a["status"] in (*OPEN, "mismatched")]
        if payment["open_attempt"] and payment["open_attempt"] not in is_open:
            found.append(f"{payment['id']} waits for an attempt that has ended")
    return found


_ENDINGS = {
    "declined": {"Declined"},
    "closed": {"Closed", "NotFound", "Declined"},
    "not_sent": {"unsent"},
}


def _words(rows: Any, truth: Any) -> list[str]:
    """Nothing ended unpaid without the bank's own word, and a bank never contradicts itself."""
    said = {
        number: set(words) for books in truth.values() for number, words in books["said"].items()
    }
    found = [
        f"{a['id']} is {a['status']}, the bank only said {sorted(said.get(a['id'], set()))}"
        for a in rows["attempts"]
        if a["status"] in _ENDINGS and not said.get(a["id"], set()) & _ENDINGS[a["status"]]
    ]
    return found + [
        f"a contradiction was seen at {b['attempt_id'] or b['refund_id']}"
        for b in rows["breaks"]
        if b["kind"] == "contradiction"
    ]


def _facts(rows: Any, _truth: Any) -> list[str]:
    """Each fact is told once."""
    told = Counter((fact["object_id"], fact["name"]) for fact in rows["facts"])
    found = []
    for payment in rows["payments"]:
        if told[payment["id"], "payment.succeeded"] != (payment["status"] == "succeeded"):
            found.append(f"payment.succeeded of {payment['id']} was not told exactly once")
        if told[payment["id"], "payment.created"] != 1:
            found.append(f"payment.created of {payment['id']} was not told exactly once")
    for refund in rows["refunds"]:
        if told[refund["id"], "refund.created"] != 1:
            found.append(f"refund.created of {refund['id']} was not told exactly once")
        if told[refund["id"], "refund.failed"] != (refund["status"] == "failed"):
            found.append(f"refund.failed of {refund['id']} was not told exactly once")
    sequences = Counter((f["object_id"], f["name"], f["sequence"]) for f in rows["facts"])
    return found + [f"{key} was told twice" for key, times in sequences.items() if times > 1]


def _rest(rows: Any, truth: Any) -> list[str]:
    """After the faults have stopped, everything comes to rest."""
    authorised = {
        number
        for books in truth.values()
        for number, order in books["orders"].items()
        if order["state"] == "authorised"
    }
    found = [
        f"{a['id']} is still {a['status']}"
        for a in rows["attempts"]
        if a["status"] in OPEN
        and not (
            a["status"] == "authorised"
            and a["id"] in authorised
            and not a["closing"]
            and a["amount_to_capture"] is None
        )
    ]
    broken = {b["attempt_id"] for b in rows["breaks"]}
    found += [
        f"{a['id']} is held back and nobody is told"
        for a in rows["attempts"]
        if a["status"] == "mismatched" and a["id"] not in broken
    ]
    found += [
        f"refund {r['id']} is still {r['status']}"
        for r in rows["refunds"]
        if r["status"] not in ("succeeded", "failed")
    ]
    found += [
        f"notice {n['id']} was never applied"
        for n in rows["notices"]
        if n["next_at"] or n["status"] != "applied"
    ]
    found += [f"{bank} never got heard: {n}" for bank, b in truth.items() for n in b["untold"]]
    return found + _followed(rows) + _suspense(rows)


def _followed(rows: Any) -> list[str]:
    """A failed refund of a second payment is followed by another, until it is left to a person."""
    surplus = [r for r in sorted(rows["refunds"], key=lambda r: r["id"]) if r["surplus"]]
    last = {r["attempt_id"]: r for r in surplus}
    kept = {b["refund_id"] for b in rows["breaks"] if b["kind"] == "second_payment_kept"}
    found = [
        f"refund {r['id']} of a second payment failed, and nothing follows"
        for r in last.values()
        if r["status"] == "failed" and r["look_up_at"] is None and r["id"] not in kept
    ]
    alive = Counter(r["attempt_id"] for r in surplus if r["status"] != "failed")
    return found + [
        f"two refunds of the second payment {name} are not failed"
        for name, times in alive.items()
        if times > 1
    ]


def _suspense(rows: Any) -> list[str]:
    """At the end of time nothing is on its way, and of what lies in suspense a person was told.

    A second payment is given back; where the bank never takes it back there is a break of its own
    for that very attempt, open, and suspense holds exactly what those attempts brought.
    """
    told = {
        b["attempt_id"]
        for b in rows["breaks"]
        if b["kind"] in {"second_payment", "second_payment_kept"} and b["resolved_at"] is None
    }
    back: Counter[str] = Counter()
    surplus: set[str] = set()
    for refund in rows["refunds"]:
        if refund["surplus"]:
            surplus.add(refund["attempt_id"])
            back[refund["attempt_id"]] += refund["amount"] * (refund["status"] == "succeeded")
    brought = {a["id"]: a["amount_captured"] for a in rows["attempts"] if a["id"] in surplus}
    stranded = {name: brought[name] - back[name] for name in surplus if brought[name] > back[name]}
    found = [
        f"{amount} of {name} is stranded and nobody is told"
        for name, amount in stranded.items()
        if name not in told
    ]
    for account in rows["accounts"]:
        code = account["code"]
        left = sum(stranded.values()) if code == "suspense:second_payment" else 0
        is_passage = code.endswith(":refunds") or code.startswith("suspense:")
        if is_passage and account["balance"] != left:
            found.append(f"{code} is left at {account['balance']}, stranded is {left}")
    return found


def _promises(rows: Any, acknowledged: list[tuple[str, str, str]]) -> list[str]:
    """What somebody was told for sure has stayed so."""
    statuses = {p["id"]: p["status"] for p in rows["payments"]}
    refunds = {r["id"] for r in rows["refunds"]}
    notices = {n["body"].decode() for n in rows["notices"]}
    found = []
    for deed, thing, status in acknowledged:
        if deed == "bug":
            found.append(f"{thing}: {status}")
        elif deed == "refund" and thing not in refunds:
            found.append(f"refund {thing} was promised and is gone")
        elif deed == "notice" and thing not in notices:
            found.append(f"a notice was answered and is gone: {thing}")
        elif thing.startswith("pi_") and thing not in statuses:
            found.append(f"{thing} was promised and is gone")
        elif thing.startswith("pi_") and status == "succeeded" and statuses[thing] != status:
            found.append(f"{thing} was paid and is {statuses[thing]}")
    return found
