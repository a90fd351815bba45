"""Lists page by cursor, searches find by metadata, and ids expand into what they name."""

from typing import Any

import pytest
import stripe


def _several(world: Any, count: int = 7) -> list[str]:
    return [
        world.pay(1_000 + at, metadata={"attempt": f"att_{at}", "batch": "b"}).id
        for at in range(count)
    ]


def test_pages_forward_and_backward(world: Any) -> None:
    made = _several(world)
    intents = world.stripe.v1.payment_intents

    first = intents.list({"limit": 3})
    second = intents.list({"limit": 3, "starting_after": first.data[-1].id})
    back = intents.list({"limit": 3, "ending_before": second.data[0].id})

    newest = made[::-1]
    assert [each.id for each in first.data] == newest[:3]
    assert first.has_more
    assert [each.id for each in second.data] == newest[3:6]
    assert [each.id for each in back.data] == newest[:3]
    assert not back.has_more
    assert first.data[0].metadata["attempt"] == "att_6"


def test_auto_paging_walks_everything(world: Any) -> None:
    made = _several(world)
    intents = world.stripe.v1.payment_intents

    forward = [each.id for each in intents.list({"limit": 2}).auto_paging_iter()]
    backward = intents.list({"limit": 2, "ending_before": made[0]})

    assert forward == made[::-1]
    assert [each.id for each in backward.auto_paging_iter()] == made[1:]


def test_created_bounds(world: Any) -> None:
    early = _several(world, 2)
    world.control("clock", {"offset_seconds": 100})
    late = _several(world, 2)
    intents = world.stripe.v1.payment_intents
    at = intents.retrieve(late[0]).created

    assert [each.id for each in intents.list({"created": {"gte": at}}).data] == late[::-1]
    assert [each.id for each in intents.list({"created": {"lt": at}}).data] == early[::-1]
    entries = world.stripe.v1.balance_transactions.list({"created": {"gte": at, "lte": at + 5}})
    assert len(entries.data) == 2


def test_bad_cursors_are_refused(world: Any) -> None:
    made = _several(world, 1)
    intents = world.stripe.v1.payment_intents
    refused: Any
    for params, param in (
        ({"starting_after": "pi_nothing"}, "starting_after"),
        ({"starting_after": made[0], "ending_before": made[0]}, "ending_before"),
        ({"limit": 101}, "limit"),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            intents.list(params)
        assert refused.value.param == param


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("metadata['attempt']:'att_2'", [2]),
        ('metadata["attempt"]:"att_2" AND status:"succeeded"', [2]),
        ("metadata['attempt']:'att_1' OR metadata['attempt']:'att_3'", [3, 1]),
        ("metadata['batch']:'b' AND amount>=1004", [6, 5, 4]),
        ("-metadata['attempt']:'att_0' AND amount<1002", [1]),
        ("metadata['attempt']~'tt_6'", [6]),
        ("metadata['attempt']:null", []),
        ("status:'canceled'", []),
    ],
)
def test_search(world: Any, query: str, found: list[int]) -> None:
    made = _several(world)

    result = world.stripe.v1.payment_intents.search({"query": query})

    assert result.object == "search_result"
    assert [each.id for each in result.data] == [made[at] for at in found]


def test_search_pages(world: Any) -> None:
    made = _several(world)
    intents = world.stripe.v1.payment_intents

    result = intents.search({"query": "metadata['batch']:'b'", "limit": 3})

    assert [each.id for each in result.auto_paging_iter()] == made[::-1]


@pytest.mark.parametrize(
    "query", ["", "colour:'red'", "status:'a' AND status:'b' OR status:'c'", "status>'x'", "what"]
)
def test_search_refuses_what_it_cannot_read(world: Any, query: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        world.stripe.v1.payment_intents.search({"query": query})

    assert refused.value.param == "query"


def test_expand(world: Any) -> None:
    intent = world.pay()
    charges = world.stripe.v1.charges

    shown = charges.retrieve(
        intent.latest_charge, {"expand": ["payment_intent.payment_method", "refunds"]}
    )
    listed = world.stripe.v1.payment_intents.list({"expand": ["data.latest_charge"]})

    assert shown.payment_intent.payment_method.card.brand == "visa"
    assert shown.refunds.data == []
    assert listed.data[0].latest_charge.id == intent.latest_charge
    with pytest.raises(stripe.InvalidRequestError):
        charges.retrieve(intent.latest_charge, {"expand": ["colour"]})


def test_update_changes_metadata_key_by_key(world: Any) -> None:
    intent = world.pay(metadata={"a": "1", "b": "2"})
    intents = world.stripe.v1.payment_intents

    changed = intents.update(intent.id, {"metadata": {"a": "", "c": "3"}})

    assert changed.metadata.to_dict() == {"b": "2", "c": "3"}
    assert intents.search({"query": "metadata['a']:'1'"}).data == []
    assert intents.search({"query": "metadata['c']:'3'"}).data[0].id == intent.id
