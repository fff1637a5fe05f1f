"""What somebody meant who mistyped a name."""

import pytest

from worker.core.nearest import nearest


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("rotat", "rotate"), ("SWEEP", "sweep"), ("repaly", "replay"), ("xyz", None), ("", None)],
)
def test_the_most_alike_is_meant_and_none_where_none_is_alike(typed: str, meant: str | None) -> None:
    assert nearest(typed, ["rotate", "sweep", "replay", "run"]) == meant
