"""What a step at the broker fails of, in one word."""

import pytest
from aiormq.exceptions import AMQPConnectionError

from worker.broker.base import BrokerLostError
from worker.broker.connection import guarded


async def test_errors_that_are_causes_of_each_other_are_told_like_any_other() -> None:
    reset, lost = ConnectionResetError(104, "Connection reset by peer"), AMQPConnectionError("lost")
    lost.__cause__, reset.__context__ = reset, lost
    with pytest.raises(BrokerLostError, match=r"connecting: the broker is lost \(AMQPConnectionError\)"):
        async with guarded("connecting", 5):
            raise lost
