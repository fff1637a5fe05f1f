"""ByCloud as a Gateway: `rebind`, `replace`, and `in_place` where the cloud has a PUT."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime
from typing import assert_never

from worker.core.bundle import Bundle, Leaf
from worker.core.deployment import Binding, Deployment
from worker.core.errors import Failure, PermanentError, RotationError, TransientError
from worker.core.outcome import BindingResult
from worker.core.planning import Bound, Create, Modify, Observed, Stored, base_name, uploaded_name
from worker.gateways.base import Discovered, OnResult
from worker.gateways.bycloud.auth import Credentials
from worker.gateways.bycloud.binding import Binder, check_active
from worker.gateways.bycloud.client import ByCloudClient
from worker.gateways.bycloud.wire import ACTIVE, PENDING, ByCloudDialect, Certificate
from worker.gateways.transport import AmbiguousError, OnCall, Transport
from worker.limits import KeyedLock, Limits, Window
from worker.settings.model import ByCloud as Settings


def _now() -> datetime:
    return datetime.now(UTC)


def open_bycloud(
    name: str, settings: Settings, *, deadline: float, chance: Callable[[], float], on_call: OnCall | None = None
) -> "ByCloud":
    """A client for one region of one account. No call is made, and no secret read, before the first use."""
    transport = Transport(
        gateway=name,
        endpoint=settings.endpoint,
        limits=Limits([Window(limit.calls, limit.seconds) for limit in settings.limits], settings.concurrency),
        authenticator=Credentials(settings.auth, settings.region),
        dialect=ByCloudDialect(_now),
        timeout=settings.call_timeout_seconds,
        deadline=deadline,
        ca_file=settings.ca_file,
        chance=chance,
        on_call=on_call,
    )
    return ByCloud(name, transport, deadline, chance)


class ByCloud:
    """One region of one account. `patience`: seconds to wait for a certificate, a binding or a load balancer."""

    def __init__(self, name: str, transport: Transport, patience: float, chance: Callable[[], float]) -> None:
        self.name = name
        self._transport = transport
        self._client = ByCloudClient(transport)
        self._patience = patience
        self._chance = chance
        self._load_balancers = KeyedLock()

    @property
    def calls(self) -> int:
        return self._transport.calls

    async def observe(self, deployment: Deployment, leaf: Leaf | None) -> Observed:
        if deployment.strategy == "replace":
            certificate = await self._newest_upload(deployment, leaf)
        else:
            certificate = await self._found(deployment.certificate_id)
        if deployment.strategy == "rebind" and certificate is not None:
            check_active(certificate)
        wanted = deployment.bindings or ()
        stored = None if certificate is None else certificate.stored()
        return Observed(
            stored, tuple(Bound(one, stored if _is_active_at(certificate, one) else None) for one in wanted)
        )

    async def _found(self, certificate_id: str | None) -> Certificate | None:
        if certificate_id is None:
            return None
        try:
            return await self._client.show(certificate_id)
        except PermanentError as error:
            if error.reason != "not_found":
                raise
            return None

    async def _newest_upload(self, deployment: Deployment, leaf: Leaf | None) -> Certificate | None:
        """The upload of this very leaf where there is one, else the newest of this deployment."""
        origin = await self._found(deployment.certificate_id)
        base = deployment.name or (base_name(origin.name) if origin is not None else "")
        listed = await self._client.listed()
        uploads = [
            one for one in listed if base and base_name(one.name) == base and one.status not in ("error", "revoked")
        ]
        mine = [one for one in uploads if leaf is not None and one.name == uploaded_name(base, leaf)]
        if mine:
            return await self._client.show(mine[0].id)
        known = [one for one in [*uploads, origin] if one is not None]
        return max(known, key=lambda one: one.expires_at or datetime.min.replace(tzinfo=UTC), default=None)

    async def replace(self, deployment: Deployment, how: Modify | Create, bundle: Bundle) -> Stored:
        del deployment  # all is said by `how`
        match how:
            case Create(name):
                certificate_id = await self._create(name, bundle)
            case Modify(stored):
                certificate_id = stored.certificate_id
                await self._modify(stored, bundle)
            case _:
                assert_never(how)
        return (await self._until_active(certificate_id)).stored()

    async def _create(self, name: str, bundle: Bundle) -> str:
        try:
            return (await self._client.create(name, bundle)).id
        except (AmbiguousError, PermanentError) as error:
            if not isinstance(error, AmbiguousError) and error.reason != "conflict":
                raise
            # Perhaps it was created, now or by an earlier try: its name tells which leaf it holds.
            same = [one for one in await self._client.listed() if one.name == name]
            if not same:
                raise
            return same[0].id

    async def _modify(self, stored: Stored, bundle: Bundle) -> None:
        try:
            await self._client.modify(stored.certificate_id, stored.name, bundle)
        except PermanentError as error:
            if error.status not in (404, 405):
                raise
            told = "this cloud has no call to modify a certificate: use rebind or replace"
            raise PermanentError("unsupported", told, status=error.status) from None

    async def _until_active(self, certificate_id: str) -> Certificate:
        pause, waited = 1.0, 0.0
        while True:
            certificate = await self._client.show(certificate_id)
            if certificate.status not in PENDING:
                check_active(certificate)
                return certificate
            if waited > self._patience:
                raise TransientError("certificate_not_active", "the certificate does not become active")
            await asyncio.sleep(pause)
            waited, pause = waited + pause, pause * 2

    async def attach(
        self,
        deployment: Deployment,
        to: Stored | None,
        bindings: Sequence[Binding],
        bundle: Bundle | None,
        on_result: OnResult,
    ) -> Sequence[BindingResult]:
        del deployment, bundle  # all is said by the certificate and the listeners
        if to is None:
            raise PermanentError("not_found", "there is no certificate to bind")
        binder = Binder(self._client, to.certificate_id, self._patience, self._chance)

        async def bind(listener: Binding) -> BindingResult:
            try:
                async with self._turn(listener):
                    result = BindingResult(listener, await binder.bind(listener))
            except RotationError as error:
                result = BindingResult(listener, "failed", Failure.of(error))
            on_result(result)
            return result

        return await asyncio.gather(*(bind(listener) for listener in bindings))

    def _turn(self, listener: Binding) -> AbstractAsyncContextManager[None]:
        """A load balancer takes one change at a time, at whichever of its listeners."""
        if listener.load_balancer is None:
            return nullcontext()
        return self._load_balancers.hold(listener.load_balancer)

    async def retire(self, stored: Stored) -> bool:
        """No call to delete a certificate is documented."""
        del stored
        return False

    async def discover(self) -> Sequence[Discovered]:
        return [
            Discovered(
                certificate.stored(),
                tuple(Binding("listener", one.resource_id, sni=one.has_sni) for one in certificate.bindings or ()),
            )
            for certificate in await self._client.listed()
        ]

    async def check(self) -> None:
        await self._client.page(1)

    async def close(self) -> None:
        await self._transport.close()


def _is_active_at(certificate: Certificate | None, listener: Binding) -> bool:
    bound = None if certificate is None else certificate.at(listener.name, sni=listener.sni)
    return bound is not None and bound.status in (ACTIVE, None)
