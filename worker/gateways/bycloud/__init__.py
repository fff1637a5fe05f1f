"""ByCloud as a Gateway: `rebind`, `replace`, and `in_place` where the cloud has a PUT."""

import asyncio
import dataclasses
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime
from itertools import count
from typing import Final, assert_never
from uuid import uuid4

from worker.core.backoff import jittered
from worker.core.bundle import Bundle, Leaf
from worker.core.calls import PlannedCall
from worker.core.deployment import Binding, Deployment
from worker.core.errors import Failure, PermanentError, RotationError, TransientError
from worker.core.outcome import BindingResult
from worker.core.planning import Bound, Create, Modify, Observed, Plan, Stored, age_of
from worker.core.readback import is_untouched, is_written
from worker.gateways.base import NOWHERE, Discovered, OnResult, Right
from worker.gateways.bycloud.auth import Credentials
from worker.gateways.bycloud.binding import Binder
from worker.gateways.bycloud.client import ByCloudClient, Sender
from worker.gateways.bycloud.finding import Finder
from worker.gateways.bycloud.load_balancers import LoadBalancers
from worker.gateways.bycloud.planned import ALL, planned
from worker.gateways.bycloud.rights import calls
from worker.gateways.bycloud.sight import Sight, check_active, pauses
from worker.gateways.bycloud.wire import PENDING, ByCloudDialect, Certificate
from worker.gateways.rights import tried
from worker.gateways.together import together
from worker.gateways.transport import AmbiguousError, OnCall, Transport
from worker.limits import Limits
from worker.settings.gateways import ByCloud as Settings
from worker.wall_clock import utc_now

_MOST_TRIES: Final = 4
_NO_PUT: Final = frozenset({404, 405, 501})


def open_bycloud(
    name: str,
    settings: Settings,
    *,
    deadline: float,
    chance: Callable[[], float],
    limits: Limits,
    on_call: OnCall | None = None,
) -> "ByCloud":
    """A client for one region of one account. No call is made, and no secret read, before the first use."""
    transport = Transport(
        gateway=name,
        endpoint=settings.endpoint,
        limits=limits,
        authenticator=Credentials.of(settings.auth, settings.region),
        dialect=ByCloudDialect(utc_now),
        timeout=settings.call_timeout_seconds,
        deadline=deadline,
        ca_file=settings.ca_file,
        chance=chance,
        wall_clock=utc_now,
        on_call=on_call,
        proxy=settings.proxy,
    )
    return ByCloud(name, transport, deadline, chance)


class ByCloud:
    """One region of one account. `patience`: seconds to wait for a certificate, a binding or a load balancer."""

    tells_beginnings = False
    detaches = False

    def __init__(self, name: str, transport: Sender, patience: float, chance: Callable[[], float]) -> None:
        self.name = name
        self.account = transport
        self._client = ByCloudClient(transport)
        self._finder = Finder(self._client)
        self._patience = patience
        self._chance = chance
        self._load_balancers = LoadBalancers()

    def calls(self, deployment: Deployment, todo: Plan) -> Sequence[PlannedCall]:
        return planned(deployment, todo)

    async def observe(
        self, deployment: Deployment, leaf: Leaf | None, *, elsewhere: bool = True, known: Collection[str] = ()
    ) -> Observed:
        del elsewhere  # listeners have no flag that would have to be known
        found = await self._finder.find(deployment, leaf, known)
        certificate = found.certificate
        if deployment.strategy == "rebind" and certificate is not None:
            check_active(certificate)
        stored = None if certificate is None else certificate.stored()
        if stored is not None and deployment.strategy != "replace":
            # Only uploads of our own tell their leaf by their name; others may end alike by chance.
            stored = dataclasses.replace(stored, fingerprint_prefix=None)
        places = [(certificate, stored), *((one, one.stored()) for one in (*found.formers, *found.strangers))]
        bound = tuple(_bound(one, places) for one in deployment.bindings or ())
        formers = tuple(one.stored() for one in found.formers)
        return Observed(stored, bound, formers, lists={ALL: found.listed})

    async def served_until(self, bindings: Sequence[Binding]) -> datetime | None:
        return await self._finder.served_until(bindings)

    async def replace(self, deployment: Deployment, how: Modify | Create, bundle: Bundle) -> Stored:
        match how:
            case Create(name):
                certificate_id = await self._create(name, bundle)
            case Modify(stored):
                certificate_id = stored.certificate_id
                await self._modify(stored, bundle)
            case _:
                assert_never(how)
        before = how.stored if isinstance(how, Modify) else None
        certificate = await self._until_active(certificate_id, bundle.leaf, before)
        self._finder.remember(deployment, certificate)
        return certificate.stored()

    async def _create(self, name: str, bundle: Bundle) -> str:
        """The id of the upload: made now, or by an earlier try whose answer was lost."""
        for tries in count(1):
            try:
                return (await self._client.create(name, bundle)).id
            except (AmbiguousError, PermanentError) as error:
                if isinstance(error, PermanentError) and error.reason != "conflict":
                    raise
                earlier = await self._uploaded(name, bundle.leaf)
                if earlier is not None:
                    return earlier
                if isinstance(error, PermanentError) or tries == _MOST_TRIES:
                    raise
                await asyncio.sleep(max(error.hold, jittered(tries, self._chance())))
        raise AssertionError("unreachable")

    async def _uploaded(self, name: str, leaf: Leaf) -> str | None:
        """The certificate of that name, if it holds the leaf."""
        same = [one for one in await self._client.listed() if one.name == name]
        return next((one.id for one in same if age_of(one.stored(), leaf) == "same"), None)

    async def _modify(self, stored: Stored, bundle: Bundle) -> None:
        for tries in count(1):
            try:
                return await self._client.modify(stored.certificate_id, stored.name, bundle)
            except PermanentError as error:
                if error.status not in _NO_PUT:
                    raise
                told = "this cloud has no call to modify a certificate: use rebind or replace"
                raise PermanentError("unsupported", told, status=error.status) from None
            except AmbiguousError as error:
                if await self._is_modified(stored, bundle.leaf):
                    return None
                if tries == _MOST_TRIES:
                    raise
                await asyncio.sleep(max(error.hold, jittered(tries, self._chance())))
                # Once more: it may have been long, and others may have written meanwhile.
                if await self._is_modified(stored, bundle.leaf):
                    return None
        raise AssertionError("unreachable")

    async def _is_modified(self, stored: Stored, leaf: Leaf) -> bool:
        """By what is shown now. Its name is the one that it had before, whatever it ends like."""
        found = (await self._client.show(stored.certificate_id)).stored()
        return is_written(dataclasses.replace(found, fingerprint_prefix=None), stored, leaf)

    async def _until_active(self, certificate_id: str, leaf: Leaf, before: Stored | None) -> Certificate:
        """Active, and where something was there before it also another than that: what is read may be late."""
        waiting = pauses(self._patience)
        while True:
            certificate = await self._client.show(certificate_id)
            is_late = before is not None and not _is_shown(certificate, leaf, before)
            if certificate.status not in PENDING and not is_late:
                check_active(certificate)
                return certificate
            pause = next(waiting, None)
            if pause is None:
                check_active(certificate)
                raise TransientError("still_old", "the certificate that is shown is not the renewed one")
            await asyncio.sleep(pause)

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
        sight = Sight(self._client, to.certificate_id)
        binders = defaultdict[str | Binding, Binder](lambda: Binder(self._client, sight, self._patience, self._chance))

        async def bind(listener: Binding) -> BindingResult:
            try:
                async with self._turn(listener):
                    state = await binders[listener.load_balancer or listener].bind(listener)
                result = BindingResult(listener, state)
            except RotationError as error:
                result = BindingResult(listener, "failed", Failure.of(error))
            on_result(result)
            return result

        return await together([bind(listener) for listener in bindings])

    def _turn(self, listener: Binding) -> AbstractAsyncContextManager[None]:
        """A load balancer takes one change at a time, at whichever of its listeners."""
        if listener.load_balancer is None:
            return nullcontext()
        return self._load_balancers.turn(listener.load_balancer)

    async def detach(self, stored: Stored, bindings: Sequence[Binding], on_result: OnResult) -> Sequence[BindingResult]:
        """No call to unbind a certificate is documented."""
        del stored
        failure = Failure("unsupported", "this cloud has no call to unbind a certificate", transient=False)
        results = [BindingResult(one, "failed", failure) for one in bindings]
        for one in results:
            on_result(one)
        return results

    async def retire(self, stored: Stored, moved: Mapping[Binding, str] = NOWHERE) -> bool:
        """No call to delete a certificate is documented."""
        del stored, moved
        return False

    async def discover(self) -> Sequence[Discovered]:
        return [_discovered(await self._with_bindings(one)) for one in await self._client.listed()]

    async def _with_bindings(self, listed: Certificate) -> Certificate:
        """A list may leave the bindings out."""
        return listed if listed.bindings is not None else await self._client.show(listed.id)

    async def show(self, certificate_id: str) -> Stored:
        return (await self._client.show(certificate_id)).stored()

    async def check(self) -> None:
        await self._client.page(1)

    async def rights(self, deployments: Sequence[Deployment]) -> Sequence[Right]:
        return [await tried(self.account.send, *one) for one in calls(deployments, nobody=str(uuid4()))]

    async def close(self) -> None:
        await self.account.close()


def _is_shown(certificate: Certificate, leaf: Leaf, before: Stored) -> bool:
    return certificate.expires_at == leaf.not_after and not is_untouched(certificate.stored(), before)


def _bound(listener: Binding, places: Sequence[tuple[Certificate | None, Stored | None]]) -> Bound:
    """To the first of these certificates that is active there."""
    at = (one for found, one in places if found is not None and found.is_active_at(listener.name, sni=listener.sni))
    return Bound(listener, next(at, None))


def _discovered(certificate: Certificate) -> Discovered:
    listeners = [(one.resource_id, one.has_sni) for one in certificate.bindings or ()]
    bindings = tuple(Binding("listener", name, sni=bool(has_sni)) for name, has_sni in listeners if name is not None)
    return Discovered(certificate.stored(), bindings, is_uploaded=certificate.type == "uploaded")
