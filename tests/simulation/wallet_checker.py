"""The judge of wallets: their statements and holds against the ledger's lines, and both against what
was promised. Written from the rules alone; it shares nothing with the code that keeps them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import asyncpg

Row = dict[str, Any]
_TABLES = {
    "wallets": "wallets.wallets ORDER BY id",
    "transactions": "wallets.transactions ORDER BY journal",
    "holds": "wallets.holds ORDER BY id",
    "reserved": "ledger.holds ORDER BY id, account",
    "accounts": "ledger.accounts",
    "lines": "ledger.lines ORDER BY merchant_id, journal, line",
    "facts": "runtime.facts WHERE name LIKE 'wallet.%' ORDER BY object_id, sequence",
    "parked": "runtime.parked_facts",
    "outbox": "runtime.unrelayed",
}
#: How a hold that the ledger keeps is called by the wallet.
_CALLED = {"open": "open", "posted": "captured", "voided": "released", "expired": "expired"}
#: What takes value out because somebody asked for it.
_TAKING = ("spend", "transfer_out")
#: How long an order may wait for its turn.
_DECIDED_WITHIN = timedelta(minutes=1)


async def complaints(db: asyncpg.Connection, acknowledged: list[tuple[str, str, str]]) -> list[str]:
    """Return everything about wallets that is wrong."""
    rows = {
        name: [dict(row) for row in await db.fetch(f"SELECT * FROM {table}")]
        for name, table in _TABLES.items()
    }
    found = [f"fact {row['id']} was never relayed" for row in (*rows["parked"], *rows["outbox"])]
    for check in (_statements, _kinds, _given_back, _set_aside, _overspent, _limits, _frozen):
        found += check(rows)
    return [*found, *_overdue(rows), *_promises(rows, acknowledged)]


def _statements(rows: Any) -> list[str]:
    """Each journal that touches a wallet is one row of its statement, with the same parts."""
    part_of = {w["principal_account"]: (w["id"], 0) for w in rows["wallets"]}
    part_of |= {w["bonus_account"]: (w["id"], 1) for w in rows["wallets"]}
    moved: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
    for line in rows["lines"]:
        for account, sign in ((line["debit"], -1), (line["credit"], 1)):
            if account in part_of:
                wallet, part = part_of[account]
                moved[wallet, line["journal"]][part] += sign * line["amount"]
    told: dict[tuple[str, int], list[int]] = {}
    found = []
    for row in rows["transactions"]:
        key = (row["wallet_id"], row["journal"])
        if key in told:
            found.append(f"journal {key[1]} is told twice in {key[0]}")
        told[key] = [row["principal_amount"], row["bonus_amount"]]
    return found + [
        f"journal {key[1]} moved {moved.get(key)} in {key[0]}, the statement says {told.get(key)}"
        for key in sorted({*moved, *told})
        if moved.get(key) != told.get(key)
    ]


def _kinds(rows: Any) -> list[str]:
    """Transfers move principal to somebody; spends take the bonus only after the principal."""
    found = []
    by_journal: dict[int, list[Row]] = defaultdict(list)
    for row in rows["transactions"]:
        by_journal[row["journal"]].append(row)
        if row["type"] in (*_TAKING, "capture") and row["amount"] >= 0:
            found.append(f"{row['type']} {row['id']} took nothing")
        if row["type"].startswith("transfer") and row["bonus_amount"]:
            found.append(f"transfer {row['id']} moved bonus")
    for journal, both in by_journal.items():
        kinds = sorted(row["type"] for row in both)
        if any(kind.startswith("transfer") for kind in kinds) and (
            kinds != ["transfer_in", "transfer_out"] or sum(row["amount"] for row in both)
        ):
            found.append(f"transfer {journal} has the sides {kinds}")
    wallets = {wallet["id"]: wallet for wallet in rows["wallets"]}
    for row in rows["transactions"]:
        if row["type"] == "spend" and row["bonus_amount"]:
            account = wallets[row["wallet_id"]]["principal_account"]
            free = _least_free(rows, account, row)
            if free > 0:
                found.append(f"spend {row['id']} took bonus with {free} of principal left")
    return found


def _least_free(rows: Any, account: int, row: Row) -> int:
    """What was free right after a journal, if all that was held at that moment was held."""
    balance = 0
    for line in rows["lines"]:
        if line["journal"] > row["journal"]:
            break
        balance = _after(line, account, balance)
    held = sum(
        hold["amount"]
        for hold in rows["reserved"]
        if hold["account"] == account
        and hold["created_at"] <= row["created_at"]
        and (hold["ended_at"] is None or hold["ended_at"] >= row["created_at"])
    )
    return balance - held


def _after(line: Row, account: int, before: int) -> int:
    if line["debit"] == account:
        return line["debit_after"]
    return line["credit_after"] if line["credit"] == account else before


def _given_back(rows: Any) -> list[str]:
    """Of a spend no more is given back than it was, its bonus first, and it knows how much."""
    found = []
    back: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows["transactions"]:
        if row["type"] == "spend_refund":
            back[row["source"]][0] += row["principal_amount"]
            back[row["source"]][1] += row["bonus_amount"]
    spent = {r["id"]: r for r in rows["transactions"] if r["type"] in ("spend", "capture")}
    found += [f"{name} was given back and never spent" for name in back if name not in spent]
    for name, row in spent.items():
        principal, bonus = back[name]
        if [row["refunded_principal"], row["refunded_bonus"]] != [principal, bonus]:
            found.append(f"spend {name} does not know what was given back")
        if principal + bonus > -row["amount"]:
            found.append(f"of spend {name} {principal + bonus} was given back, it was {row}")
        if bonus != min(principal + bonus, -row["bonus_amount"]):
            found.append(f"spend {name} was given back principal first")
    return found


def _set_aside(rows: Any) -> list[str]:
    """A hold is what the ledger reserved, and ended once, in time, with at most what it held."""
    found = []
    accounts = {w["id"]: (w["principal_account"], w["bonus_account"]) for w in rows["wallets"]}
    reserved = {(row["id"], row["account"]): row for row in rows["reserved"]}
    captures: dict[str, list[Row]] = defaultdict(list)
    for row in rows["transactions"]:
        if row["type"] == "capture":
            captures[row["source"]].append(row)
    for hold in rows["holds"]:
        principal, bonus = accounts[hold["wallet_id"]]
        for account, part in ((principal, "principal_amount"), (bonus, "bonus_amount")):
            row = reserved.pop((hold["id"], account), None)
            kept = (row["amount"], _CALLED[row["status"]]) if row else (0, hold["status"])
            if kept != (hold[part], hold["status"]):
                found.append(f"hold {hold['id']} has {hold[part]} {hold['status']}, ledger {kept}")
        found += _ending(hold, captures.pop(hold["id"], []))
    found += [f"{key} is reserved for no hold" for key in reserved]
    found += [f"{name} was captured and is no hold" for name in captures]
    held: dict[int, int] = defaultdict(int)
    for row in rows["reserved"]:
        held[row["account"]] += row["amount"] if row["status"] == "open" else 0
    return found + [
        f"{a['code']} says {a['held']} is held, it is {held[a['number']]}"
        for a in rows["accounts"]
        if a["held"] != held[a["number"]]
    ]


def _ending(hold: Row, captures: list[Row]) -> Iterator[str]:
    """What a hold's end has to look like."""
    name, status, ended = hold["id"], hold["status"], hold["ended_at"]
    late = ended is not None and hold["expires_at"] is not None and ended >= hold["expires_at"]
    if len(captures) != (status == "captured"):
        yield f"hold {name} is {status} with {len(captures)} captures"
    if (ended is None) != (status == "open"):
        yield f"hold {name} is {status} and ended at {ended}"
    if (status == "expired") != late:
        yield f"hold {name} is {status}, its end was {'late' if late else 'in time'}"
    for row in captures:
        if -row["amount"] != hold["captured_amount"] or -row["amount"] > hold["amount"]:
            yield f"hold {name} of {hold['amount']} was captured with {row['amount']}"
        for part in ("principal_amount", "bonus_amount"):
            if -row[part] > hold[part]:
                yield f"hold {name} was captured beyond its {part}"


def _overspent(rows: Any) -> list[str]:
    """At no moment of its life did an account with a floor have less than is held on it."""
    found = []
    for account in rows["accounts"]:
        if account["floor"] is None:
            continue
        number, events = account["number"], defaultdict[datetime, int](int)
        for line in rows["lines"]:
            if number in (line["debit"], line["credit"]):
                events[line["at"]] += line["amount"] * (1 if line["credit"] == number else -1)
        for hold in rows["reserved"]:
            if hold["account"] == number:
                events[hold["created_at"]] -= hold["amount"]
                if hold["ended_at"] is not None:
                    events[hold["ended_at"]] += hold["amount"]
        free = 0
        for moment in sorted(events):
            free += events[moment]
            if free < account["floor"]:
                found.append(f"{account['code']} had {free} free at {moment}")
    return found


def _limits(rows: Any) -> list[str]:
    """Nothing larger than the single limit, nothing in a day beyond the daily one."""
    found = []
    for wallet in rows["wallets"]:
        used = list(_used(rows, wallet["id"]))
        single, daily, most = (wallet[f"limit_{name}"] for name in ("single", "daily", "balance"))
        found += [
            f"{amount} at {moment} is over the limit of {single} of {wallet['id']}"
            for moment, amount, _ in used
            if single is not None and amount > single
        ]
        total: dict[Any, int] = defaultdict(int)
        changes: dict[datetime, int] = defaultdict(int)
        for moment, amount, _ in used:
            # An order bears the moment at which it was asked for, and may have been decided behind
            # what was let go since: as when the database was away in between.
            midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
            changes[moment if amount > 0 else max(moment - _DECIDED_WITHIN, midnight)] += amount
        for moment in sorted(changes):
            total[moment.date()] += changes[moment]
            if daily is not None and total[moment.date()] > daily:
                found.append(f"{wallet['id']} used {total[moment.date()]} of {daily} by {moment}")
        if most is not None:
            found += _received(rows, wallet, most)
    return found


def _used(rows: Any, wallet_id: str) -> Iterator[tuple[datetime, int, str]]:
    """What counts for the limits: also what is held, until it is let go on the same day."""
    for row in rows["transactions"]:
        if row["wallet_id"] == wallet_id and row["type"] in _TAKING:
            yield row["created_at"], -row["amount"], row["id"]
    for hold in rows["holds"]:
        if hold["wallet_id"] == wallet_id:
            yield hold["created_at"], hold["amount"], hold["id"]
            ended = hold["ended_at"]
            if ended is not None and ended.date() == hold["created_at"].date():
                yield ended, hold["captured_amount"] - hold["amount"], hold["id"]


def _received(rows: Any, wallet: Row, most: int) -> list[str]:
    """Nobody passes on so much to a wallet that it holds more than it may."""
    parts = {wallet["principal_account"]: 0, wallet["bonus_account"]: 0}
    received = {
        row["journal"]: row["id"]
        for row in rows["transactions"]
        if row["wallet_id"] == wallet["id"] and row["type"] == "transfer_in"
    }
    found = []
    for line in rows["lines"]:
        for account, before in parts.items():
            parts[account] = _after(line, account, before)
        if line["journal"] in received and sum(parts.values()) > most:
            found.append(f"{received[line['journal']]} filled {wallet['id']} beyond {most}")
    return found


def _frozen(rows: Any) -> list[str]:
    """By each wallet's own facts: never less than nothing free, and frozen is frozen."""
    found, frozen = [], set[str]()
    for fact in rows["facts"]:
        wallet, data = fact["object_id"], json.loads(fact["data"])
        seen = data["wallet"]
        if fact["name"] in ("wallet.frozen", "wallet.unfrozen"):
            (frozen.add if fact["name"] == "wallet.frozen" else frozen.discard)(wallet)
        kind = (data.get("transaction") or {}).get("type")
        is_taking = kind in _TAKING or fact["name"] == "wallet.hold_created"
        if wallet in frozen and is_taking:
            found.append(f"{fact['name']} of {wallet} while it was frozen")
        if seen["available"] < 0 or seen["balance"] != seen["principal"] + seen["bonus"]:
            found.append(f"{wallet} was told with {seen}")
    return found


def _overdue(rows: Any) -> list[str]:
    """Whatever had to expire has: all of it lies hours back."""
    return [
        f"hold {hold['id']} should have expired at {hold['expires_at']}"
        for hold in rows["holds"]
        if hold["status"] == "open" and hold["expires_at"] is not None
    ]


def _promises(rows: Any, acknowledged: list[tuple[str, str, str]]) -> list[str]:
    """What somebody was told for sure is there, with its amount."""
    amounts = {row["id"]: abs(row["amount"]) for row in rows["transactions"]}
    holds = {row["id"]: row for row in rows["holds"]}
    found = []
    for deed, thing, amount in acknowledged:
        if thing.startswith("pi_"):
            continue
        if deed in ("spend", "spend_refund", "capture", "transfer"):
            kept = amounts.get(thing)
        elif deed == "hold":
            kept = holds[thing]["amount"] if thing in holds else None
        elif deed == "release":
            kept = (
                0 if thing in holds and holds[thing]["status"] in ("released", "expired") else None
            )
        else:
            continue
        if kept is None or amount not in ("all", str(kept)):
            found.append(f"{deed} {thing} of {amount} was promised, it is {kept}")
    return found
