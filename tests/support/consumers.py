"""A consumer with other parts than it was made with."""

import asyncio
from dataclasses import replace
from typing import Any

from worker.consumer import Consumer


def changed(consumer: Consumer, stopping: asyncio.Event | None = None, **parts: Any) -> Consumer:
    """`parts`: of its attempts. What the two remember is the same."""
    return Consumer(replace(consumer.attempts, **parts), stopping or consumer.stopping)
