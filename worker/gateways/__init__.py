"""The clouds: which kinds there are, and how one is opened."""

from collections.abc import Callable

from worker.gateways.base import Gateway
from worker.gateways.bycloud import open_bycloud
from worker.gateways.huawei_apig import open_huawei_apig
from worker.gateways.transport import OnCall
from worker.settings.model import ByCloud
from worker.settings.model import Gateway as Settings


def open_gateway(
    name: str, settings: Settings, *, deadline: float, chance: Callable[[], float], on_call: OnCall | None = None
) -> Gateway:
    """A client for one account. `deadline` in seconds, for one call with its repeats."""
    if isinstance(settings, ByCloud):
        return open_bycloud(name, settings, deadline=deadline, chance=chance, on_call=on_call)
    return open_huawei_apig(name, settings, deadline=deadline, chance=chance, on_call=on_call)
