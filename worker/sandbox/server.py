"""The sandbox: all simulated clouds, on free loopback ports where nothing is said, for as long as a block lasts."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aiohttp import web

from worker.sandbox.answering import Answering
from worker.sandbox.apig import Apig
from worker.sandbox.apig import refused as refused_by_apig
from worker.sandbox.bycloud import ByCloud, ByCloudCheck
from worker.sandbox.bycloud import refused as refused_by_bycloud
from worker.sandbox.control import Control
from worker.sandbox.credentials import ApigCheck, Iam, iam_routes
from worker.sandbox.listeners import Listeners
from worker.sandbox.world import Throttle, World

# Tokens come in headers of several kilobytes.
_LONGEST_HEADER = 65536
_MALFORMED = refused_by_apig(400, "APIG.2011", "Invalid parameter value")


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """Who may call, how often, and how fast changes are served. Seconds."""

    project_id: str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
    account: str = "acme"
    user: str = "rotator"
    password: str = field(default="sandbox-password", repr=False)
    project: str = "eu-west-101"
    access_key: str = "SANDBOXACCESSKEY"
    secret_key: str = field(default="sandbox-secret-key", repr=False)
    key_id: str = "sandbox-key"
    secret: str = field(default="sandbox-secret", repr=False)
    token: str = field(default="sandbox-token", repr=False)
    region: str = "sao1"
    apig_limits: Sequence[tuple[int, float]] = ()
    bycloud_limits: Sequence[tuple[int, float]] = ()
    token_lifetime: float = 86400.0
    latency: float = 0.0
    propagation_seconds: float = 0.0
    activation_seconds: float = 0.0
    busy_seconds: float = 0.0
    has_put: bool = False
    addresses: Sequence[str] = ("127.0.0.1",)
    """Of every TLS listener."""
    host: str = "127.0.0.1"
    """Where the endpoints listen, and by which name they are announced."""
    port: int = 0
    """Of the control endpoint; those of the clouds come after it. 0: free ones."""


class Sandbox:
    """`async with Sandbox() as sandbox`: endpoints, the world behind them, and the ports of its TLS listeners."""

    def __init__(self, config: SandboxConfig | None = None) -> None:
        self.config = config or SandboxConfig()
        self.world = World(propagation_seconds=self.config.propagation_seconds)
        self.apig_throttle = Throttle(self.config.apig_limits)
        self.bycloud_throttle = Throttle(self.config.bycloud_limits)
        own = self.config
        self.iam = Iam(own.account, own.user, own.password, own.project, own.token_lifetime)
        self.listeners = Listeners(self.world, own.addresses)
        self.apig_endpoint = self.iam_endpoint = self.bycloud_endpoint = self.control_endpoint = ""
        self._apig, self._iam, self._bycloud = self._routes_of_apig(), self._routes_of_iam(), self._routes_of_bycloud()
        self._stack = AsyncExitStack()

    def _routes_of_apig(self) -> Sequence[web.RouteDef]:
        own = self.config
        check = ApigCheck(self.apig_throttle, self.iam, own.project_id, own.access_key, own.secret_key)
        return Apig(self.world, own.project_id).routes(
            Answering(self.world, check, _MALFORMED, own.latency, cloud="apig")
        )

    def _routes_of_iam(self) -> Sequence[web.RouteDef]:
        answering = Answering(self.world, lambda _request, _raw: None, _MALFORMED, self.config.latency, cloud="iam")
        return [iam_routes(self.iam, answering)]

    def _routes_of_bycloud(self) -> Sequence[web.RouteDef]:
        own = self.config
        check = ByCloudCheck(self.bycloud_throttle, own.key_id, own.secret, own.token, own.region)
        cloud = ByCloud(self.world, own.activation_seconds, own.busy_seconds, own.has_put)
        malformed = refused_by_bycloud(400, "invalid request")
        return cloud.routes(Answering(self.world, check, malformed, own.latency, cloud="bycloud", told=check.told))

    async def __aenter__(self) -> Self:
        self.control_endpoint = await self._serve(Control(self.world).routes(), 0)
        self.apig_endpoint = await self._serve(self._apig, 1)
        self.iam_endpoint = await self._serve(self._iam, 2)
        self.bycloud_endpoint = await self._serve(self._bycloud, 3)
        self._stack.push_async_callback(self.listeners.close)
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _serve(self, routes: Sequence[web.RouteDef], number: int) -> str:
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.add_routes(routes)
        runner = web.AppRunner(app, access_log=None, max_field_size=_LONGEST_HEADER, shutdown_timeout=0.1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        own = self.config
        site = web.TCPSite(runner, own.host, own.port and own.port + number)
        await site.start()
        return f"http://{own.host}:{runner.addresses[0][1]}"

    async def open_listeners(self) -> Mapping[str, int]:
        """TLS ports for every instance and listener of the world that has none yet."""
        for place in [*self.world.instances, *self.world.listeners]:
            if place not in self.listeners.ports:
                await self.listeners.open(place)
        return self.listeners.ports
