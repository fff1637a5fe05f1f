"""What tests share: a RabbitMQ, and the leak canary under which each runs."""

import os
from collections.abc import Iterator

import hypothesis.strategies  # noqa: F401 - its plugin would load it at the end, in the middle of a summary
import pytest

# Before anything is imported from there: without it a promise that a stage finds broken is a bare AssertionError.
pytest.register_assert_rewrite("tests.support", "tests.reliability")

import tests.support.keys_made  # noqa: E402, F401 - before whatever makes keys
from tests.support.rabbit import shared  # noqa: E402 - after that
from worker.sandbox.rabbit_node import SERVER  # noqa: E402 - after that

pytest_plugins = ["tests.support.canary"]


@pytest.fixture(scope="session")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its URL: of ROTATION_TEST_AMQP_URL, else of a private node, one for all processes of the test run."""
    if url := os.environ.get("ROTATION_TEST_AMQP_URL"):
        yield url
        return
    if not SERVER.exists():
        lack = pytest.fail if os.environ.get("CI") else pytest.skip
        lack("no RabbitMQ: install rabbitmq-server, or name one in ROTATION_TEST_AMQP_URL")
    folder = tmp_path_factory.getbasetemp()
    with shared(folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) as node:
        yield node.url
