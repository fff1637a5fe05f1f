"""Whether an old stored certificate may be deleted at all."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.support.values import current, deployment, stored
from worker.core.retirement import is_claimed, was_proven


def told(outcome: str, serial: object) -> Mapping[str, Any]:
    return {"data": {"outcome": outcome, "leaf": {"serial_number": serial}}}


@pytest.mark.parametrize(
    ("events", "is_proven"),
    [
        ([told("succeeded", "4660")], True),
        ([told("failed", "5"), told("superseded", "6"), told("succeeded", "4660")], True),
        ([told("succeeded", "5"), told("succeeded", "4660")], False),
        ([told("failed", "4660"), told("succeeded", "5")], False),
        ([told("failed", "4660")], False),
        ([{"data": {"outcome": "succeeded", "leaf": None}}, told("succeeded", "4660")], False),
        ([{"data": None}, {}, {"data": "?"}], False),
        ([], False),
    ],
)
def test_proven_is_what_succeeded_last(events: Sequence[Mapping[str, Any]], *, is_proven: bool) -> None:
    assert was_proven(current(), events) == is_proven
    assert not was_proven(current(serial_number=None), events)


@pytest.mark.parametrize(
    ("claim", "moves", "is_theirs"),
    [
        (("apig", "shop"), True, False),
        (("apig", "shop"), False, True),
        (("apig", "c1"), True, True),
        (("other", "c1"), True, False),
    ],
)
def test_what_another_deployment_names_is_claimed(claim: tuple[str, str], *, moves: bool, is_theirs: bool) -> None:
    own = deployment(name="shop")
    assert is_claimed(stored(certificate_id="C1", name="Shop"), own, {claim}, moves=moves) == is_theirs
