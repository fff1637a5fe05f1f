"""The clouds: which kinds there are, and how one is opened."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, cast

from worker.gateways.base import Gateway
from worker.limits import Limits, Window
from worker.settings.gateways import Gateway as Settings

if TYPE_CHECKING:
    from worker.gateways.transport import OnCall

# A new kind is a folder and a line here. By name, because an HTTP client is slow to import, and whoever only reads
# this package's protocol needs none.
OPENERS: Final[Mapping[str, tuple[str, str]]] = {
    "huawei_apig": ("worker.gateways.huawei_apig", "open_huawei_apig"),
    "bycloud": ("worker.gateways.bycloud", "open_bycloud"),
}


class Opener(Protocol):
    """`open_…` of a kind."""

    def __call__(
        self,
        name: str,
        settings: Settings,
        *,
        deadline: float,
        chance: Callable[[], float],
        limits: Limits,
        on_call: "OnCall | None",
    ) -> Gateway: ...


def windows_of(settings: Settings) -> Sequence[Window]:
    return [Window(limit.calls, limit.seconds) for limit in settings.limits]


def limits_of(settings: Settings) -> Limits:
    """Unused ones."""
    return Limits(windows_of(settings), settings.concurrency)


def open_gateway(
    name: str,
    settings: Settings,
    *,
    deadline: float,
    chance: Callable[[], float],
    on_call: "OnCall | None" = None,
    limits: Limits | None = None,
) -> Gateway:
    """A client for one account. `deadline` in seconds, for one call with its repeats; `limits` where it has some."""
    module, opener = OPENERS[settings.kind]
    opened = cast("Opener", getattr(import_module(module), opener))
    own = limits or limits_of(settings)
    return opened(name, settings, deadline=deadline, chance=chance, limits=own, on_call=on_call)
