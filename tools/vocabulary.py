"""The words `tidy` knows: names that mean something here, and names that mean too much.

The reasons are in docs/glossary.md; a word is added here only together with its line there.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.strip().split(" "))


#: Rooms that are kits: their files are named after what they do, not after a room's storeys.
KITS = _words("kernel runtime connectors web api entry topup_app")
#: The files of a room; any other is named with its reason on the room's page.
SHAPE = _words("__init__ machine model events errors store commands queries flows wire routes jobs")
#: Files of a room that others may not import, and the rooms that may all the same.
PRIVATE = {
    "store": frozenset[str](),
    "machine": frozenset[str](),
    "routes": _words("api entry"),
    "jobs": _words("api entry"),
}
#: What the ledger's commands hand to their callers, who decide on it in memory; and a pure table of
#: test cards that payments need as well.
HANDED_OUT = _words(
    "tillgate.ledger.machine.Books tillgate.ledger.machine.Memory tillgate.customers.machine.test_token"
)
#: Files that reach the store only through commands and queries.
NOT_AT_THE_STORE = _words("routes wire flows machine model events errors")
VAGUE = _words("utils util helpers common misc manager service services base core types")
#: Named like a standard module on purpose: absolute imports only, so nothing is shadowed.
STANDARD_ALLOWED = _words("tillgate/runtime/secrets.py")
#: The glossary's right-hand column: never the name of a thing of ours (a provider's may be).
BANNED = _words(
    "seller org organization organisation user buyer admin psp processor gateway acquirer adapter"
    " plugin driver chargeback deposit recharge purse ipn callback signal reward ticket session"
    " conn txn"
)
PAST = _words("paid sent spent held lost found made frozen unfrozen given taken")
#: Stripe's words for states a payment has come to.
STATES = _words("requires_action processing")
