"""A RabbitMQ of a process's own, which its tests kill, freeze and starve; each leaves it running."""

from collections.abc import Iterator

import pytest

from tests.support.rabbit import running
from worker.sandbox.rabbit_node import SERVER, RabbitNode


@pytest.fixture(scope="session")
def own_node(rabbit: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    if not SERVER.exists():
        pytest.skip(f"{rabbit.partition(':')[0]}: somebody else's broker is not killed, and none is installed here")
    with running(tmp_path_factory.mktemp("own") / "node") as node:
        node.ctl("await_startup")
        yield node
