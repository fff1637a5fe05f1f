"""`/livez`, `/readyz`, `/metrics` and the fleet on one listening socket."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import ceil
from typing import Final

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from worker.broker.base import BrokerState
from worker.fleet.values import FleetSource
from worker.limits import Used
from worker.settings import SettingsError
from worker.settings.http import Http
from worker.settings.listening import host_of
from worker.telemetry import Metrics
from worker.web.access import Guard
from worker.web.encrypting import Encrypting
from worker.web.listening import GuardedRunner
from worker.web.page import add_page
from worker.web.status import Status

_LONGEST_BODY: Final = 1024
"""Nobody has anything to send."""
_LEAVING_SECONDS: Final = 1.0
"""Until whoever still follows what goes on is sent away."""


@dataclass(frozen=True, slots=True)
class GatewayState:
    """One cloud account, as it is now."""

    is_up: bool
    seconds_left: float
    """Until what is under way there has ended."""
    held_for: float = 0.0
    """Until anything is sent there again: it has asked to be left alone."""
    budgets: Sequence[Used] = ()
    """Of each of its windows."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Health:
    """Answers the probes from the broker's state."""

    state: Callable[[], Awaitable[BrokerState]]
    metrics: Metrics
    gateways: Callable[[], Mapping[str, GatewayState]] = dict
    is_stopping: Callable[[], bool] = _never
    """Told to stop: it takes nothing more, and finishes what is in hand."""
    _windows: set[tuple[str, str, str]] = field(default_factory=set)
    """Of gateways' budgets, as they were told last: one that was learned may be forgotten."""

    async def livez(self, _request: web.Request) -> web.Response:
        """200 while the event loop turns."""
        return web.json_response({"status": "alive"})

    async def readyz(self, _request: web.Request) -> web.Response:
        """200 when connected, consuming or standing by; else 503 with the reasons.

        A gateway that is down or held is named, and is no reason: renewals for all others are rotated, its own are
        parked.
        """
        state = await self._measured()
        reasons = [] if state.is_connected else ["the broker is not connected"]
        reasons += [] if state.is_taking else ["the broker takes no events"]
        reasons += [] if state.is_remembering else ["the history cannot be read"]
        reasons += ["draining"] if self.is_stopping() else []
        if reasons:
            return web.json_response({"status": "not ready", "reasons": reasons}, status=503)
        role = "consuming" if state.is_active else "standing by"
        told = _left_alone(self.gateways())
        return web.json_response({"status": "ready", "role": role, **told})

    async def metrics_page(self, _request: web.Request) -> web.Response:
        """Prometheus text."""
        await self._measured()
        # In a thread: with thousands of certificates it takes longer than others can be kept waiting.
        body = await asyncio.to_thread(generate_latest, self.metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    async def _measured(self) -> BrokerState:
        state = await self.state()
        self.metrics.consumer_active.set(state.is_active)
        self.metrics.connected.set(state.is_connected)
        self.metrics.ready.set(state.ready)
        self.metrics.room.set(state.room)
        self.metrics.parked.set(state.parked)
        self.metrics.dead.set(state.dead)
        gateways = self.gateways()
        self._measure_budgets(gateways)
        for name, gateway in gateways.items():
            self.metrics.gateway_up.labels(name).set(gateway.is_up)
            self.metrics.gateway_held.labels(name).set(gateway.held_for)
            self.metrics.remaining.labels(name).set(gateway.seconds_left)
        return state

    def _measure_budgets(self, gateways: Mapping[str, GatewayState]) -> None:
        """Never empty in between: another scrape may be told them in its thread just now."""
        budgets = {
            (name, f"{one.seconds:g}", one.source): one for name, state in gateways.items() for one in state.budgets
        }
        for window, one in budgets.items():
            self.metrics.budget.labels(*window).set(one.calls)
            self.metrics.budget_used.labels(*window).set(one.used)
        for gone in self._windows - budgets.keys():
            self.metrics.budget.remove(*gone)
            self.metrics.budget_used.remove(*gone)
        self._windows.clear()
        self._windows.update(budgets)


def _left_alone(gateways: Mapping[str, GatewayState]) -> Mapping[str, object]:
    """Which are down, and which have asked for how many seconds to be left alone."""
    down = [name for name, gateway in gateways.items() if not gateway.is_up]
    held = {name: ceil(gateway.held_for) for name, gateway in gateways.items() if gateway.held_for > 0}
    return {**({"gateways_down": down} if down else {}), **({"gateways_held": held} if held else {})}


def check_doors(http: Http) -> ssl.SSLContext | None:
    """What it listens with, TLS or nothing. Raises SettingsError for a token or certificate that cannot be used."""
    Guard(http).check()
    return Encrypting(http).context()


def application(health: Health, guard: Guard, fleet: FleetSource) -> web.Application:
    """All that is served, behind the guard."""
    app = web.Application(middlewares=[guard.middleware()], client_max_size=_LONGEST_BODY)
    app.on_response_prepare.append(guard.add_headers)
    app.add_routes([web.get("/livez", health.livez), web.get("/readyz", health.readyz)])
    app.add_routes([web.get("/metrics", health.metrics_page), web.get("/status.json", Status(fleet).status)])
    add_page(app, fleet)
    return app


@asynccontextmanager
async def serving(health: Health, http: Http, fleet: FleetSource) -> AsyncIterator[int]:
    """Serves inside the block; yields the port, which the system chose where the settings say 0.

    Raises SettingsError where it cannot listen, or has no token or certificate that can be used.
    """
    guard, tls = Guard(http), check_doors(http)
    app = application(health, guard, fleet)
    runner = GuardedRunner(app, guard, leaving_seconds=_LEAVING_SECONDS)
    await runner.setup()
    try:
        port = int(http.listen.rpartition(":")[2])
        site = web.TCPSite(runner, host_of(http.listen), port, ssl_context=tls)
        await _start(site)
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def _start(site: web.TCPSite) -> None:
    try:
        await site.start()
    except OSError as error:
        # A loop's own words quote the address; a resolver's number is none of the system's.
        is_resolvers = isinstance(error, socket.gaierror)
        why = error.strerror if is_resolvers or error.errno is None else os.strerror(error.errno)
        raise SettingsError([f"http.listen: cannot listen there: {why}"]) from None
