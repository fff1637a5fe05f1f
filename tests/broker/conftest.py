"""Both engines, for the tests of what they promise alike."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from tests.broker.places import Place, Places, place_at


@pytest.fixture(params=["sqlite", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def places(request: pytest.FixtureRequest) -> Places:
    """Each engine in turn."""
    is_rabbit = request.param == "rabbitmq"
    url = request.getfixturevalue("rabbit" if is_rabbit else "tmp_path")

    def at(**overrides: Any) -> AbstractAsyncContextManager[Place]:
        return place_at(url if is_rabbit else f"sqlite:///{url / 'broker.db'}", **overrides)

    return at


@pytest.fixture
async def place(places: Places) -> AsyncIterator[Place]:
    async with places() as place:
        yield place
