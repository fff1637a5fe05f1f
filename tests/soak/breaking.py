"""Carrying out a schedule: each actor does its own steps, one after the other, all actors at once."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import aiohttp

from tests.broker.proxy import Proxy
from tests.soak.schedule import Step

_NOWHERE: Final = "http://127.0.0.1:1"
_OPERATIONS: Final = (
    "obtain_token",
    "show_certificate",
    "list_certificates",
    "list_domains",
    "modify_certificate",
    "attach_domains",
    "show_group",
    "add_certificate",
    "show_domain_certificate",
    "delete_certificate",
    "create_upload",
    "list_uploads",
    "show_upload",
    "create_binding",
    "listener_certificates",
)
_EITHER: Final[Sequence[Mapping[str, Any]]] = ({}, {"after_effect": True})
_WAYS: Final[Sequence[Mapping[str, Any]]] = (
    *({"status": 429, "headers": headers} for headers in ({}, {"Retry-After": "2"})),
    *({"status": status, **when} for status in (500, 502, 503, 504) for when in _EITHER),
    *({"kind": kind, **when} for kind in ("hang", "reset", "garbage") for when in _EITHER),
    {"kind": "truncate", "after_effect": True},
    *({"status": status} for status in (200, 204)),
)
"""The last two are lies."""
Breaking = Callable[[str, float, Random], Awaitable[None]]


@dataclass(slots=True)
class CloudControl:
    """What can be done to the clouds."""

    control: str
    pid: int

    async def post(self, what: str, **fields: Any) -> None:
        async with aiohttp.ClientSession() as session, session.post(f"{self.control}/{what}", json=fields) as answer:
            answer.raise_for_status()

    async def break_answers(self, kind: str, seconds: float, chance: Random) -> None:
        match kind:
            case "answers":
                for operation in chance.sample(_OPERATIONS, chance.randint(1, 5)):
                    await self.post("fault", operation=operation, times=chance.randint(1, 6), **chance.choice(_WAYS))
            case "late":
                await self.post("lag", seconds=chance.uniform(0.5, 3))
            case _:
                await self.post("expire")
        await asyncio.sleep(seconds)
        await self.post("heal")

    async def freeze(self, seconds: float) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(self.pid, signal.SIGCONT)


@dataclass(slots=True)
class Way:
    """The ways from the workers to each cloud."""

    proxies: Mapping[str, Proxy]
    targets: Mapping[str, str]
    cloud: CloudControl

    async def break_one(self, kind: str, seconds: float, chance: Random) -> None:
        if kind == "freeze":
            return await self.cloud.freeze(seconds)
        name = chance.choice(sorted(self.proxies))
        proxy = self.proxies[name]
        if kind == "refuse":
            proxy.lead_to(_NOWHERE)
        _cut(proxy)
        await asyncio.sleep(seconds)
        return proxy.lead_to(self.targets[name])


@dataclass(slots=True)
class Links:
    """The workers' connections to the broker."""

    proxy: Proxy

    async def break_one(self, kind: str, seconds: float, _chance: Random) -> None:
        match kind:
            case "cut":
                _cut(self.proxy)
            case "drip":
                self.proxy.slow(0.05)
            case _:
                self.proxy.hold(asks=kind != "deaf", answers=kind != "dumb")
        await asyncio.sleep(seconds)
        self.proxy.slow(0.0)
        self.proxy.release()


def _cut(proxy: Proxy) -> None:
    for link in proxy.links:
        link.cut()


# What a worker has sent to a frozen cloud takes effect when it wakes. Were the worker killed meanwhile, it would
# count beside the calls of its heir, which cannot know of it.
_NEVER_TOGETHER: Final = frozenset({("way", "freeze"), ("worker", "kill")})


@dataclass(slots=True)
class Done:
    """A step as it was carried out, by the monotonic clock."""

    step: Step
    began: float
    ended: float = 0.0


@dataclass(slots=True)
class Breaker:
    """Whoever breaks what, by actor."""

    actors: Mapping[str, Breaking]
    done: list[Done] = field(default_factory=list)
    _one_of_them: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def carry_out(self, steps: Sequence[Step]) -> None:
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for name in self.actors:
                group.create_task(self._act(name, [step for step in steps if step.actor == name], began))

    async def _act(self, name: str, steps: Sequence[Step], began: float) -> None:
        for step in steps:
            await asyncio.sleep(max(0.0, began + step.at - time.monotonic()))
            async with self._one_of_them if (name, step.kind) in _NEVER_TOGETHER else nullcontext():
                done = Done(step, time.monotonic())
                self.done.append(done)
                await self.actors[name](step.kind, step.seconds, Random(step.chance))  # noqa: S311 - to be had again
                done.ended = time.monotonic()
