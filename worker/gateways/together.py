"""Work done at the same time, none of it left running alone."""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar, cast

from worker.in_parts import PART

T = TypeVar("T")
U = TypeVar("U")


async def together(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results in order; the first error cancels the others, and is raised as it is.

    Not by a TaskGroup: before Python 3.13 that forgets a cancellation which meets an error, and leaves the task counted
    as cancelled after an error, so that a timeout around it is taken for a cancellation.
    """
    all_of_them = list(coroutines)
    if len(all_of_them) == 1:
        return [await all_of_them[0]]  # most certificates have one deployment: no task for it alone
    tasks, cancelled = await _started(all_of_them)
    cancelled = await _ended(tasks, cancelled)
    # All are looked at: asyncio complains of errors that nobody has seen.
    errors = [one for one in (None if task.cancelled() else task.exception() for task in tasks) if one is not None]
    try:
        if cancelled is not None:
            raise cancelled
        if errors:
            raise errors[0]
        return [task.result() for task in tasks]
    finally:
        # What is raised holds its frames: held by one of them, it would wait for the collector, a rotation with it.
        del tasks, errors, cancelled


async def both(first: Coroutine[Any, Any, T], second: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """As `together`, of two kinds."""
    one, other = await together([first, second])
    return cast("T", one), cast("U", other)


async def _started(
    coroutines: Sequence[Coroutine[Any, Any, T]],
) -> tuple[Sequence[asyncio.Task[T]], asyncio.CancelledError | None]:
    """Tasks of all of them, however many, and the cancellation that came meanwhile: who made them has to end them."""
    tasks: list[asyncio.Task[T]] = []
    cancelled = None
    for coroutine in coroutines:
        tasks.append(asyncio.create_task(coroutine))
        if len(tasks) % PART == 0 and cancelled is None:
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError as error:
                cancelled = error.with_traceback(None)
    return tasks, cancelled


async def _ended(
    tasks: Iterable[asyncio.Task[Any]], cancelled: asyncio.CancelledError | None
) -> asyncio.CancelledError | None:
    """Waits for all of them, the rest cancelled once one failed or this was cancelled itself: then returns that."""
    pending = set(tasks)
    if cancelled is not None:
        _cancel(pending)
    while pending:
        try:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
        except asyncio.CancelledError as error:
            cancelled, done = error.with_traceback(None), set()
        if cancelled is not None or any(task.cancelled() or task.exception() for task in done):
            _cancel(pending)
    return cancelled


def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
