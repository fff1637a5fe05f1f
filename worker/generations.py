"""What is made of the settings each time they are read, and what goes on from one reading to the next.

What is under way ends with what it began with. A gateway that stays keeps its connections, token and breaker; one that
is not used any more is closed with the last rotation at it. What was learned and counted of limits is the account's.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from worker.accounts import Accounts
from worker.building import certificates_of, chance, intake_of, kept_of
from worker.core.deployment import Certificate
from worker.gateways import limits_of, open_gateway, windows_of
from worker.gateways.asking import Asking
from worker.gateways.base import Gateway
from worker.intake import Intake
from worker.limits import Limits
from worker.rotation import Rotator
from worker.settings import Settings
from worker.settings.changes import Stamps, stamps_of
from worker.settings.gateways import Gateway as GatewaySettings
from worker.settings.resolve import claims_in
from worker.telemetry import Metrics
from worker.trust.vault import LONGEST_ANSWER, Vault, open_vault
from worker.under_way import Unwatched, Watcher
from worker.verification import Probing
from worker.wall_clock import utc_now


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A gateway, and what it was made of."""

    settings: GatewaySettings
    rest: Sequence[object]
    gateway: Gateway
    limits: Limits


@dataclass(frozen=True, slots=True, eq=False)
class OpenedVault:
    """The same of Vault."""

    made_of: Sequence[object]
    asking: Asking
    vault: Vault


@dataclass(slots=True, eq=False)
class Generation:
    """All that one reading of the settings has made."""

    settings: Settings
    stamps: Stamps
    gateways: Mapping[str, Opened]
    accounts: Accounts
    """Of all generations."""
    vault: OpenedVault | None
    certificates: Mapping[str, Certificate]
    intake: Intake
    rotator: Rotator
    _users: int = 0
    _unused: asyncio.Event = field(default_factory=asyncio.Event)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Inside the block nothing of it is closed."""
        self._users += 1
        self._unused.clear()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    async def unused(self) -> None:
        """Returns once nobody is in its block."""
        if self._users:
            await self._unused.wait()

    def use_its_accounts(self) -> None:
        for name, one in self.gateways.items():
            self.accounts.use(name, one.settings, one.limits)

    def keep_to_its_limits(self) -> None:
        """Where they are others than before, they hold from now on, for what is under way too."""
        for one in self.gateways.values():
            one.limits.change(windows_of(one.settings), one.settings.concurrency)

    @property
    def closers(self) -> Mapping[int, Callable[[], Awaitable[None]]]:
        """Of all that it holds open, each told apart from every other."""
        found = {id(one.gateway): one.gateway.close for one in self.gateways.values()}
        return found if self.vault is None else {**found, id(self.vault.asking): self.vault.asking.close}


@dataclass(slots=True)
class Generations:
    """The one of today, and those before it that are still in use."""

    today: Generation
    _others: list[Generation] = field(default_factory=list)

    @property
    def all(self) -> Sequence[Generation]:
        """The latest comes last."""
        return *self._others, self.today

    def turn_to(self, generation: Generation) -> None:
        generation.use_its_accounts()
        generation.keep_to_its_limits()
        self._others.append(self.today)
        self.today = generation

    async def let_go(self, old: Generation) -> None:
        """Once it is not in use any more: closes what it alone has held open."""
        await old.unused()
        self._others.remove(old)
        self._leave_accounts(old)
        still = {key for one in self.all for key in one.closers}
        for key, close in old.closers.items():
            if key not in still:
                await close()

    def _leave_accounts(self, old: Generation) -> None:
        in_use = {one.limits for generation in self.all for one in generation.gateways.values()}
        for limits in {one.limits for one in old.gateways.values()} - in_use:
            old.accounts.leave(limits)

    async def close(self) -> None:
        closers = {key: close for one in self.all for key, close in one.closers.items()}
        for close in closers.values():
            await close()


def first_of(settings: Settings, metrics: Metrics, watcher: Watcher | None = None) -> Generation:
    """Raises SettingsError; opens nothing yet, and makes no call."""
    stamps, accounts = stamps_of(settings), Accounts()
    gateways = _gateways(settings, stamps, metrics, {}, accounts)
    vault = _vault(settings, stamps, None)
    known = {name: one.gateway for name, one in gateways.items()}
    rotator = Rotator(known, watcher=watcher or Unwatched(), chance=chance)
    generation = _made(settings, stamps, gateways, accounts, vault, rotator)
    generation.use_its_accounts()
    return generation


def next_of(before: Generation, settings: Settings, metrics: Metrics) -> Generation:
    """As `first_of`, with all of the one before that may stay. That one is as it was until it is turned from it."""
    stamps = stamps_of(settings)
    gateways = _gateways(settings, stamps, metrics, before.gateways, before.accounts)
    vault = _vault(settings, stamps, before.vault)
    return _made(settings, stamps, gateways, before.accounts, vault, before.rotator)


def _made(
    settings: Settings,
    stamps: Stamps,
    gateways: Mapping[str, Opened],
    accounts: Accounts,
    opened: OpenedVault | None,
    before: Rotator,
) -> Generation:
    vault = None if opened is None else opened.vault
    probing = Probing.of(settings, utc_now)
    if isinstance(before.verify, Probing):
        probing = replace(probing, shared=before.verify.shared)
    rotator = replace(
        before,
        gateways={name: one.gateway for name, one in gateways.items()},
        verify=probing,
        looks=probing.reach,
        asked=probing.behind,
        unasked=probing.unasked,
        settle_seconds={name: one.settle_seconds for name, one in settings.gateways.items()},
        claimed=claims_in(settings),
        kept=kept_of(settings, vault),
    )
    certificates, intake = certificates_of(settings), intake_of(settings, vault)
    return Generation(settings, stamps, gateways, accounts, opened, certificates, intake, rotator)


def _gateways(
    settings: Settings, stamps: Stamps, metrics: Metrics, before: Mapping[str, Opened], accounts: Accounts
) -> Mapping[str, Opened]:
    limits, found = accounts.limits_for(settings.gateways), {}
    for name, gateway in settings.gateways.items():
        rest = settings.retry.deadline_seconds, stamps.get(f"gateways.{name}.ca_file")
        known = before.get(name)
        if known is not None and known.rest == rest and _but_limits(known.settings) == _but_limits(gateway):
            found[name] = replace(known, settings=gateway)
        else:
            found[name] = _opened(name, gateway, rest, metrics, limits.get(name) or limits_of(gateway))
    return found


def _opened(
    name: str, settings: GatewaySettings, rest: tuple[float, object], metrics: Metrics, limits: Limits
) -> Opened:
    on_call = partial(metrics.call, name)
    gateway = open_gateway(name, settings, deadline=rest[0], chance=chance, on_call=on_call, limits=limits)
    return Opened(settings, rest, gateway, limits)


def _but_limits(settings: GatewaySettings) -> GatewaySettings:
    """These can be changed while calls are under way."""
    return settings.model_copy(update={"limits": (), "concurrency": 1})


def _vault(settings: Settings, stamps: Stamps, before: OpenedVault | None) -> OpenedVault | None:
    own = settings.trust.vault
    if own is None:
        return None
    made_of = own, stamps.get("trust.vault.ca_file")
    if before is not None and before.made_of == made_of:
        return before
    asking = Asking(own.address, own.ca_file, own.timeout_seconds, longest=LONGEST_ANSWER)
    return OpenedVault(made_of, asking, open_vault(own, asking))


@asynccontextmanager
async def gateways_of(settings: Settings, metrics: Metrics) -> AsyncIterator[Mapping[str, Gateway]]:
    """One client per account, closed at the end."""
    opened = _gateways(settings, stamps_of(settings), metrics, {}, Accounts())
    try:
        yield {name: one.gateway for name, one in opened.items()}
    finally:
        for one in opened.values():
            await one.gateway.close()


@asynccontextmanager
async def vault_of(settings: Settings) -> AsyncIterator[Vault | None]:
    """Vault, where the settings have one; closed at the end."""
    opened = _vault(settings, stamps_of(settings), None)
    try:
        yield None if opened is None else opened.vault
    finally:
        if opened is not None:
            await opened.asking.close()


@asynccontextmanager
async def rotator_of(settings: Settings, metrics: Metrics, watcher: Watcher | None = None) -> AsyncIterator[Rotator]:
    """Everything that a rotation needs, without a broker."""
    generations = Generations(first_of(settings, metrics, watcher))
    try:
        yield generations.today.rotator
    finally:
        await generations.close()
