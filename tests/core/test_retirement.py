"""Whether an old stored certificate may be deleted at all."""

from collections.abc import Sequence

import pytest

from tests.support.values import current, day, deployment, stored
from worker.core.past import Placed
from worker.core.retirement import is_claimed, was_proven


def put(serial: str | None, *, is_told: bool = True) -> Placed:
    return Placed("r1", "ab" * 32, day(1), day(30), is_told, serial)


@pytest.mark.parametrize(
    ("past", "is_proven"),
    [
        ([put("4660")], True),
        ([put("4660"), put("6", is_told=False)], True),
        ([put("4660"), put("5")], False),
        ([put("5"), put("4660", is_told=False)], False),
        ([put("4660", is_told=False)], False),
        ([put(None)], False),
        ([], False),
    ],
)
def test_proven_is_what_succeeded_last(past: Sequence[Placed], *, is_proven: bool) -> None:
    assert was_proven(current(), past) == is_proven
    assert not was_proven(current(serial_number=None), past)


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
