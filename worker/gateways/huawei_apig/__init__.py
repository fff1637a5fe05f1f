"""Huawei Cloud API Gateway as a Gateway: `in_place`, `blue_green` and `per_domain`."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import assert_never
from uuid import uuid4

from worker.core.bundle import Bundle, Leaf
from worker.core.calls import PlannedCall
from worker.core.deployment import Binding, Deployment
from worker.core.errors import PermanentError
from worker.core.outcome import BindingResult
from worker.core.planning import Create, Modify, Observed, Plan, Stored
from worker.gateways.base import NOWHERE, Discovered, OnResult, Right
from worker.gateways.huawei_apig.attaching import Attaching
from worker.gateways.huawei_apig.auth import PasswordToken, Signature, StaticToken
from worker.gateways.huawei_apig.blue_green import observe_blue_green
from worker.gateways.huawei_apig.client import ApigClient
from worker.gateways.huawei_apig.detaching import Detaching
from worker.gateways.huawei_apig.facts import Facts
from worker.gateways.huawei_apig.listing import Listing
from worker.gateways.huawei_apig.observing import observe_in_place, served_until
from worker.gateways.huawei_apig.per_domain import Adding, observe_per_domain
from worker.gateways.huawei_apig.planned import planned
from worker.gateways.huawei_apig.rights import calls
from worker.gateways.huawei_apig.storing import Storing
from worker.gateways.huawei_apig.wire import ApigDialect, Certificate
from worker.gateways.rights import tried
from worker.gateways.together import together
from worker.gateways.transport import Authenticator, OnCall, Transport
from worker.limits import Limits
from worker.settings.base import TokenAuth
from worker.settings.gateways import AkSkAuth, PasswordAuth
from worker.settings.gateways import HuaweiApig as Settings
from worker.wall_clock import utc_now


def open_huawei_apig(
    name: str,
    settings: Settings,
    *,
    deadline: float,
    chance: Callable[[], float],
    limits: Limits,
    on_call: OnCall | None = None,
) -> "HuaweiApig":
    """A client for one project. No call is made, and no secret read, before the first use."""
    transport = Transport(
        gateway=name,
        endpoint=settings.endpoint,
        limits=limits,
        authenticator=_authenticator(settings, on_call),
        dialect=ApigDialect(utc_now),
        timeout=settings.call_timeout_seconds,
        deadline=deadline,
        ca_file=settings.ca_file,
        chance=chance,
        wall_clock=utc_now,
        on_call=on_call,
        proxy=settings.proxy,
    )
    return HuaweiApig(name, transport, settings.project_id, settings.domains_per_attach, chance)


def _authenticator(settings: Settings, on_call: OnCall | None) -> Authenticator:
    match settings.auth:
        case PasswordAuth() as auth:
            timeout = settings.call_timeout_seconds
            return PasswordToken(auth, settings.ca_file, timeout, utc_now, settings.proxy, on_call)
        case AkSkAuth() as auth:
            return Signature.of(auth, settings.endpoint, settings.project_id, utc_now)
        case TokenAuth() as auth:
            return StaticToken.of(auth)
        case _:
            assert_never(settings.auth)


class HuaweiApig:
    """One project of one account."""

    tells_beginnings = True
    detaches = True

    def __init__(
        self, name: str, transport: Transport, project_id: str, domains_per_attach: int, chance: Callable[[], float]
    ) -> None:
        self.name = name
        self.account = transport
        self._client = ApigClient(transport, project_id)
        self._facts = Facts(self._client)
        self._listing = Listing(self._client)
        self._project_id = project_id
        self._storing = Storing(self._client, chance)
        self._domains_per_attach = domains_per_attach
        self._chance = chance

    def calls(self, deployment: Deployment, todo: Plan) -> Sequence[PlannedCall]:
        return planned(self._project_id, self._domains_per_attach, deployment, todo)

    async def observe(
        self, deployment: Deployment, leaf: Leaf | None, *, elsewhere: bool = True, known: Collection[str] = ()
    ) -> Observed:
        if deployment.strategy == "per_domain":
            return await observe_per_domain(self._client, self._facts, deployment, leaf)
        if deployment.strategy == "blue_green":
            return await observe_blue_green(
                self._client, self._listing, deployment, leaf, elsewhere=elsewhere, before=known, now=utc_now()
            )
        return await observe_in_place(self._client, self._listing, deployment, elsewhere=elsewhere)

    async def served_until(self, bindings: Sequence[Binding]) -> datetime | None:
        return await served_until(self._client, bindings)

    async def replace(self, deployment: Deployment, how: Modify | Create, bundle: Bundle) -> Stored:
        match how:
            case Modify(stored):
                return await self._storing.modify(stored, deployment.trusted_root_ca, bundle)
            case Create(name):
                return await self._storing.create(name, deployment.trusted_root_ca, bundle)
            case _:
                assert_never(how)

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
            adding = Adding(self._client, deployment.name, bundle, self._chance)
            return await adding.to_each(bindings, on_result)
        if to is None:
            raise PermanentError("not_found", "there is no stored certificate to attach")
        return await Attaching(self._client, to, on_result, self._chance).in_chunks(bindings, self._domains_per_attach)

    async def detach(self, stored: Stored, bindings: Sequence[Binding], on_result: OnResult) -> Sequence[BindingResult]:
        return await Detaching(self._client, self._domains_per_attach).detached(stored, bindings, on_result)

    async def retire(self, stored: Stored, moved: Mapping[Binding, str] = NOWHERE) -> bool:
        return await Detaching(self._client, self._domains_per_attach).is_retired(stored, moved)

    async def discover(self) -> Sequence[Discovered]:
        return await together(self._discovered(one) for one in await self._client.listed())

    async def _discovered(self, certificate: Certificate) -> Discovered:
        rows = await self._client.bound_domains(certificate.id)
        bindings = (
            Binding("domain", row.url_domain, row.instance_id, row.verified_client_certificate_enabled) for row in rows
        )
        return Discovered(certificate.stored(), tuple(bindings))

    async def show(self, certificate_id: str) -> Stored:
        return (await self._client.show(certificate_id)).stored()

    async def check(self) -> None:
        await self._client.page(0, 1)

    async def rights(self, deployments: Sequence[Deployment]) -> Sequence[Right]:
        needed = calls(self._project_id, deployments, nobody=uuid4().hex)
        return [await tried(self.account.send, *one) for one in needed]

    async def close(self) -> None:
        await self.account.close()
