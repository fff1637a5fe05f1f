"""SIGHUP: the settings are read again, and what comes after that goes by them. Nothing is restarted."""

import asyncio
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Final

import structlog

from worker.beside import beside
from worker.generations import Generation, Generations, next_of
from worker.retiring import Retiring
from worker.settings import Settings, SettingsError
from worker.settings.changes import changed_files, differences, in_force, stamps_of
from worker.shielding import Shielding
from worker.sweep import Sweeping
from worker.telemetry import Metrics

_log = structlog.get_logger()
_MOST_TOLD: Final = 50
"""Names in one line of the log."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What goes on beside the rotations."""

    sweep: Sweeping
    retiring: Retiring
    shielding: Shielding


@dataclass(slots=True)
class Background:
    """The same, by the settings as they are."""

    generation: Generation
    work: Beside
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def turn_to(self, generation: Generation, work: Beside) -> None:
        self.generation, self.work = generation, work
        self._news.set()

    async def run(self) -> None:
        """For ever. A look or a deletion that is interrupted is done anew."""
        while True:
            self._news.clear()
            work = self.work
            with self.generation.in_use():
                async with beside(work.sweep.run()), beside(work.retiring.run()), beside(work.shielding.run()):
                    await self._news.wait()

    def ended(self, certificate: str | None, outcome: str) -> None:
        """A renewal of that certificate has its outcome."""
        self.work.sweep.ended(certificate, outcome)
        self.work.retiring.ended(certificate, outcome)


@dataclass(frozen=True, slots=True)
class _Read:
    """What a reading has brought."""

    changed: Sequence[str]
    needs_restart: Sequence[str]
    generation: Generation | None
    """None where nothing that counts is another."""


@dataclass(slots=True)
class Reloading:
    """Beside the consumer of a running worker."""

    read: Callable[[], Settings]
    """Raises SettingsError. Slow where there are many certificates: called in a thread."""
    generations: Generations
    metrics: Metrics
    turn_to: Callable[[Generation], None]
    """Hands what comes after to it."""
    telling: Callable[[], AbstractContextManager[None]] = nullcontext
    """Tells whoever minds for as long as it lasts."""
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as leaving:
            while True:
                await self.asked.wait()
                self.asked.clear()
                old = self.generations.today
                with self.telling():
                    await self._reload()
                if self.generations.today is not old:
                    leaving.create_task(self._let_go(old))

    async def _reload(self) -> None:
        try:
            self._hold(await asyncio.to_thread(self._read))
            self.metrics.reloaded("applied")
        except SettingsError as error:
            _log.error("settings.refused", **_told("problems", error.problems))
            self.metrics.reloaded("refused")
        except Exception as bug:  # noqa: BLE001 - what is in force stays so
            _log.error("settings.crashed", exc_info=bug)
            self.metrics.reloaded("refused")

    def _hold(self, found: _Read) -> None:
        """From now on."""
        if found.generation is not None:
            self.generations.turn_to(found.generation)
            self.turn_to(found.generation)
        if found.needs_restart:
            _log.warning("settings.need_restart", **_told("keys", found.needs_restart))
        _log.info("settings.reloaded", **_told("changed", found.changed))

    def _read(self) -> _Read:
        today = self.generations.today
        settings, needs_restart = in_force(today.settings, self.read())
        files = changed_files(today.stamps, stamps_of(settings))
        changed = list(dict.fromkeys([*differences(today.settings, settings), *files]))
        return _Read(changed, needs_restart, next_of(today, settings, self.metrics) if changed else None)

    async def _let_go(self, old: Generation) -> None:
        try:
            await self.generations.let_go(old)
        except Exception as bug:  # noqa: BLE001 - a connection that does not close well is no reason to stop
            _log.error("settings.crashed", exc_info=bug)
        today = self.generations.today
        for name in old.gateways.keys() - today.gateways.keys():
            self.metrics.forget_gateway(name)
        for certificate, gateway in _deployed(old) - _deployed(today):
            self.metrics.forget_certificate(certificate, gateway)


def _deployed(generation: Generation) -> AbstractSet[tuple[str, str]]:
    """Each certificate with each gateway that it is deployed at."""
    return {(one.name, to.gateway) for one in generation.certificates.values() for to in one.deployments}


def _told(name: str, texts: Sequence[str]) -> dict[str, object]:
    """As many as can be read, and how many there are."""
    return {name: list(texts[:_MOST_TOLD]), **({"all": len(texts)} if len(texts) > _MOST_TOLD else {})}
