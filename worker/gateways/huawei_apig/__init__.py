"""Huawei Cloud API Gateway as a Gateway: `in_place` and `per_domain`."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import assert_never

from worker.core.bundle import Bundle, Leaf
from worker.core.deployment import Binding, Deployment
from worker.core.errors import PermanentError, RotationError
from worker.core.outcome import BindingResult
from worker.core.planning import Create, Modify, Observed, Stored, age_of
from worker.gateways.base import Discovered, OnResult
from worker.gateways.huawei_apig.attaching import attach_in_chunks
from worker.gateways.huawei_apig.auth import PasswordToken, Signature, StaticToken
from worker.gateways.huawei_apig.client import ApigClient
from worker.gateways.huawei_apig.observing import find_stored, observe_in_place
from worker.gateways.huawei_apig.per_domain import add_to_each, observe_per_domain
from worker.gateways.huawei_apig.wire import ApigDialect
from worker.gateways.transport import AmbiguousError, Authenticator, OnCall, Transport
from worker.limits import Limits, Window
from worker.settings.model import AkSkAuth, PasswordAuth, TokenAuth
from worker.settings.model import HuaweiApig as Settings


def _now() -> datetime:
    return datetime.now(UTC)


def open_huawei_apig(
    name: str, settings: Settings, *, deadline: float, chance: Callable[[], float], on_call: OnCall | None = None
) -> "HuaweiApig":
    """A client for one project. No call is made, and no secret read, before the first use."""
    transport = Transport(
        gateway=name,
        endpoint=settings.endpoint,
        limits=Limits([Window(limit.calls, limit.seconds) for limit in settings.limits], settings.concurrency),
        authenticator=_authenticator(settings),
        dialect=ApigDialect(_now),
        timeout=settings.call_timeout_seconds,
        deadline=deadline,
        ca_file=settings.ca_file,
        chance=chance,
        on_call=on_call,
    )
    return HuaweiApig(name, transport, ApigClient(transport, settings.project_id), settings.domains_per_attach)


def _authenticator(settings: Settings) -> Authenticator:
    match settings.auth:
        case PasswordAuth() as auth:
            return PasswordToken(auth, settings.ca_file, settings.call_timeout_seconds, _now)
        case AkSkAuth() as auth:
            return Signature(auth, settings.endpoint, settings.project_id, _now)
        case TokenAuth() as auth:
            return StaticToken(auth)
        case _:
            assert_never(settings.auth)


class HuaweiApig:
    """One project of one account."""

    def __init__(self, name: str, transport: Transport, client: ApigClient, domains_per_attach: int) -> None:
        self.name = name
        self._transport = transport
        self._client = client
        self._domains_per_attach = domains_per_attach

    @property
    def calls(self) -> int:
        return self._transport.calls

    async def observe(self, deployment: Deployment, leaf: Leaf | None) -> Observed:
        if deployment.strategy == "per_domain":
            return await observe_per_domain(self._client, deployment, leaf)
        return await observe_in_place(self._client, deployment)

    async def replace(self, deployment: Deployment, how: Modify | Create, bundle: Bundle) -> Stored:
        match how:
            case Modify(stored):
                return await self._modify(stored, deployment, bundle)
            case Create(name):
                return await self._create(name, deployment, bundle)
            case _:
                assert_never(how)

    async def _modify(self, stored: Stored, deployment: Deployment, bundle: Bundle) -> Stored:
        """Where the answer is in doubt, what is stored decides; a PUT that had no effect is sent once more."""
        ca = deployment.trusted_root_ca if stored.has_trusted_root_ca else None
        scope = stored.scope or "global"
        for is_last in (False, True):
            try:
                answer = await self._client.modify(
                    stored.certificate_id, stored.name, scope, stored.instance_id, ca, bundle
                )
            except AmbiguousError:
                found = (await self._client.show(stored.certificate_id)).stored()
                if age_of(found, bundle.leaf) == "same":
                    return found
                if is_last:
                    raise
                continue
            if answer.id != stored.certificate_id:
                raise PermanentError("provider_mismatch", "the gateway modified another certificate")
            return answer.stored()
        raise AssertionError  # the second round returns or raises

    async def _create(self, name: str, deployment: Deployment, bundle: Bundle) -> Stored:
        try:
            return (await self._client.create(name, bundle, deployment.trusted_root_ca)).stored()
        except AmbiguousError:
            found = await find_stored(self._client, None, name)
            if found is None or age_of(found, bundle.leaf) != "same":
                raise
            return found

    async def attach(
        self,
        deployment: Deployment,
        to: Stored | None,
        bindings: Sequence[Binding],
        bundle: Bundle | None,
        on_result: OnResult,
    ) -> Sequence[BindingResult]:
        if deployment.strategy == "per_domain":
            if bundle is None or deployment.name is None:
                raise PermanentError("material_missing", "per_domain needs a certificate and a name")
            return await add_to_each(self._client, deployment.name, bindings, bundle, on_result)
        if to is None:
            raise PermanentError("not_found", "there is no stored certificate to attach")
        return await attach_in_chunks(self._client, to, bindings, self._domains_per_attach, on_result)

    async def retire(self, stored: Stored) -> bool:
        try:
            if await self._client.bound_domains(stored.certificate_id):
                return False
            await self._client.delete(stored.certificate_id)
        except RotationError as error:
            if error.reason != "not_found":
                raise
        return True

    async def discover(self) -> Sequence[Discovered]:
        found = []
        for certificate in await self._client.listed():
            rows = await self._client.bound_domains(certificate.id)
            bindings = tuple(
                Binding("domain", row.url_domain, row.instance_id, row.verified_client_certificate_enabled)
                for row in rows
            )
            found.append(Discovered(certificate.stored(), bindings))
        return found

    async def check(self) -> None:
        await self._client.page(0, 1)

    async def close(self) -> None:
        await self._transport.close()
