"""What a rotation is taken to do while nothing is read yet."""

import pytest

from tests.support.values import deployment, domain, listener
from worker.core.deployment import Strategy
from worker.core.planning import Create, Keep, Modify, Replacement, UploadEach
from worker.core.presumed import presumed


@pytest.mark.parametrize(
    ("strategy", "replacement"),
    [
        ("in_place", Modify),
        ("blue_green", Create),
        ("replace", Create),
        ("per_domain", UploadEach),
        ("rebind", Keep),
    ],
)
def test_it_is_stored_as_the_strategy_does_and_all_that_is_listed_is_attached(
    strategy: Strategy, replacement: type[Replacement]
) -> None:
    listed = (listener("l1"), listener("l2"))
    todo = presumed(deployment(strategy=strategy, bindings=listed), 7)
    assert isinstance(todo.replacement, replacement)
    assert (todo.attach, todo.retire) == (listed, ())


def test_of_what_is_not_listed_there_is_as_much_as_is_said() -> None:
    assert len(presumed(deployment()).attach) == 1
    assert len(presumed(deployment(), 5).attach) == 5


def test_what_moves_does_so_in_waves_whether_it_is_listed_or_not() -> None:
    listed = tuple(domain(f"d{number:02}.example.com") for number in range(30))
    for bindings in (listed, None):
        todo = presumed(deployment(strategy="blue_green", name="shop", bindings=bindings), 30)
        assert [len(wave) for wave in todo.rounds] == [1, 2, 27]
    assert not presumed(deployment(bindings=listed)).waves
