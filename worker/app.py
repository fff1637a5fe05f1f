"""The composition root: builds the worker from its settings, runs it, and stops it in order."""

import asyncio
import gc
import random
import signal
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

import structlog

from worker.admission import Admission
from worker.beside import beside
from worker.broker import open_broker
from worker.broker.base import Broker, Message
from worker.consumer import Consumer, Policy, Sieve
from worker.core.backoff import RetryPolicy
from worker.core.certificate import Rules
from worker.core.deployment import Certificate
from worker.core.message import identify
from worker.core.names import is_address, is_domain
from worker.core.renewal import OWN_PRODUCER
from worker.fleet.following import keep_up
from worker.fleet.gateways import gateway_standings
from worker.fleet.model import FleetModel, Sight
from worker.fleet.progress import Progress
from worker.fleet.values import GatewayStanding
from worker.gateways import open_gateway
from worker.gateways.asking import Asking
from worker.gateways.base import Gateway
from worker.intake import Intake
from worker.notifying import Glance, ServiceManager, Vigil
from worker.remembering import remember
from worker.retiring import Retiring, keeping
from worker.rotation import Rotator, Unwatched, Watcher
from worker.settings import Settings, SettingsError
from worker.settings.model import Certificate as Entry
from worker.settings.resolve import (
    broker_url,
    claims_in,
    deployments_of,
    holds,
    lineages,
    producers_by_certificate,
    schedule_of,
)
from worker.settings.roots import trusted_roots
from worker.substitute import Substitute
from worker.sweep import Sweeper, Sweeping
from worker.telemetry import Metrics
from worker.trust.kept import KeptSealed, open_kept
from worker.trust.keys import Recipients, Signers, problem_of
from worker.trust.opening import TrustPolicy
from worker.trust.vault import LONGEST_ANSWER, Vault, open_vault
from worker.verification import Probing, asked_names
from worker.web.server import GatewayState, Health, serving

_log = structlog.get_logger()
_YOUNG: Final = 10_000
"""Objects more than before, after which the collector looks for cycles: its usual 700 are a few rotations in hand."""
_NOBODY: Final = ServiceManager()
_chance: Callable[[], float] = random.SystemRandom().random


def utc_now() -> datetime:
    return datetime.now(UTC)


def certificates_of(settings: Settings) -> Mapping[str, Certificate]:
    """Every certificate of the settings with its deployments."""
    return {
        name: Certificate(name, deployments_of(settings, name), _names_of(one), schedule_of(settings, name))
        for name, one in settings.certificates.items()
    }


def _names_of(certificate: Entry) -> Sequence[str]:
    """What must be covered wherever it is bound. An endpoint may be asked without a domain name."""
    asked = asked_names(certificate)
    return *certificate.names, *(name for name in asked if is_domain(name.lower()) and not is_address(name))


def intake_of(settings: Settings, vault: Vault | None = None) -> Intake:
    """Who may renew what, and what a certificate must be like."""
    named = settings.certificates.items()
    trust = TrustPolicy(
        producers=producers_by_certificate(settings),
        allow_plain_keys=settings.trust.allow_plain_keys,
        require_signature=settings.trust.require_signature,
        holds=holds(settings),
        signers=Signers.at(
            {name: one.public_key for name, one in settings.trust.producers.items() if one.public_key is not None}
        ),
        audience=settings.trust.audience,
        replay_window=settings.trust.replay_window_seconds,
        lineages=lineages(settings),
        files_below={name: one.files_below for name, one in named if one.files_below is not None},
        vault_below={name: one.vault_below for name, one in named if one.vault_below is not None},
    )
    recipients = Recipients.at(settings.trust.recipient_keys)
    return Intake(trust, rules_of(settings), settings.trust.roots.files, utc_now, recipients, vault=vault)


def rules_of(settings: Settings) -> Rules:
    """What is asked of a certificate beyond what is asked of all."""
    trust, told = settings.trust, settings.trust.rules
    is_private = trust.ca_bundle != "system" if told.private_ca is None else told.private_ca
    return Rules(
        roots=trusted_roots(trust.ca_bundle),
        allow_staging=trust.allow_staging_issuers,
        allow_p521=told.allow_p521,
        is_private_ca=is_private,
        minimum_remaining=trust.minimum_remaining_seconds,
        expires_before_2038=any(gateway.kind == "huawei_apig" for gateway in settings.gateways.values()),
        stances={
            "no_sct": told.no_sct or ("allow" if is_private else "warn"),
            "must_staple": told.must_staple,
            "cn_not_in_san": told.cn_not_in_san,
            "key_reused": told.key_reused,
        },
    )


@asynccontextmanager
async def vault_of(settings: Settings) -> AsyncIterator[Vault | None]:
    """Vault, where the settings have one; closed at the end."""
    own = settings.trust.vault
    if own is None:
        yield None
        return
    async with AsyncExitStack() as stack:
        asking = Asking(own.address, own.ca_file, own.timeout_seconds, longest=LONGEST_ANSWER)
        stack.push_async_callback(asking.close)
        yield open_vault(own, asking)


def kept_of(settings: Settings, vault: Vault | None) -> Mapping[str, KeptSealed]:
    """By certificate, for those whose last good chain and key are kept."""
    names = [name for name, one in settings.certificates.items() if one.keep_previous]
    if not names:
        return {}
    previous = settings.trust.previous
    if previous is None:
        raise SettingsError(["trust.previous: is missing"])
    intake = intake_of(settings)
    # What is put back was good a moment ago, and is near its end by nature.
    rules = replace(intake.rules, minimum_remaining=0.0)
    return dict.fromkeys(names, open_kept(previous, vault, intake.recipients, replace(intake, rules=rules).checked))


def check_keys(settings: Settings) -> None:
    """Raises SettingsError for every JWK file that holds no key of its kind."""
    trust, publish = settings.trust, settings.publish
    named = [
        *((f"trust.recipient_keys.{number}", path, True, False) for number, path in enumerate(trust.recipient_keys)),
        *((f"trust.producers.{name}.public_key", one.public_key, False, True) for name, one in trust.producers.items()),
        ("publish.recipient_key", publish.recipient_key, False, False),
        ("publish.producer_key", publish.producer_key, True, True),
    ]
    found = [
        (place, problem_of(path, is_private=is_private, signs=signs))
        for place, path, is_private, signs in named
        if path is not None
    ]
    problems = [f"{place}: {problem}" for place, problem in found if problem is not None]
    if problems:
        raise SettingsError(problems)


@asynccontextmanager
async def gateways_of(settings: Settings, metrics: Metrics) -> AsyncIterator[Mapping[str, Gateway]]:
    """One client per account, closed at the end."""
    async with AsyncExitStack() as stack:
        gateways: dict[str, Gateway] = {}
        for name, gateway in settings.gateways.items():
            gateways[name] = open_gateway(
                name,
                gateway,
                deadline=settings.retry.deadline_seconds,
                chance=_chance,
                on_call=partial(metrics.call, name),
            )
            stack.push_async_callback(gateways[name].close)
        yield gateways


@asynccontextmanager
async def rotator_of(settings: Settings, metrics: Metrics, watcher: Watcher | None = None) -> AsyncIterator[Rotator]:
    """Everything that a rotation needs, without a broker."""
    async with gateways_of(settings, metrics) as gateways, vault_of(settings) as vault:
        settle = {name: gateway.settle_seconds for name, gateway in settings.gateways.items()}
        kept = kept_of(settings, vault)
        probing, heard = Probing.of(settings, utc_now), watcher or Unwatched()
        yield Rotator(gateways, probing, settle, heard, claims_in(settings), kept=kept, answering=probing.answering)


def sweeper_of(settings: Settings, rotator: Rotator) -> Sweeper:
    return Sweeper(intake_of(settings), rotator, certificates_of(settings), lineages(settings))


def gateway_states(rotator: Rotator) -> Mapping[str, GatewayState]:
    """Of every gateway of the settings."""
    return {
        name: GatewayState(not account.is_down, rotator.forecast.seconds_left(name), account.held_for, budgets)
        for name, gateway in rotator.gateways.items()
        for account in [gateway.account]
        for budgets in [account.usage().windows]
    }


def fleet_of(
    settings: Settings, broker: Broker, rotator: Rotator, progress: Progress, stopping: asyncio.Event
) -> FleetModel:
    """What is known of the fleet, for whoever looks."""
    kinds = {name: gateway.kind for name, gateway in settings.gateways.items()}

    def standings() -> Sequence[GatewayStanding]:
        return gateway_standings(rotator, kinds, utc_now())

    sight = Sight(broker.state, broker.dead, standings, stopping.is_set, utc_now)
    return FleetModel(progress.certificates, progress, sight)


def broker_of(settings: Settings) -> Broker:
    return open_broker(settings.broker, broker_url(settings.broker), settings.retry)


async def run(
    settings: Settings,
    *,
    stopping: asyncio.Event | None = None,
    watcher: Watcher | None = None,
    manager: ServiceManager = _NOBODY,
) -> None:
    """The service, until SIGTERM or SIGINT, or `stopping`; a second signal cancels what is still in hand."""
    metrics = Metrics()
    if stopping is None:
        stopping = asyncio.Event()
        _stop_on_signals(stopping, manager)
    async with AsyncExitStack() as stack:
        intake = intake_of(settings, await stack.enter_async_context(vault_of(settings)))
        progress = Progress(certificates_of(settings), utc_now, also=watcher or Unwatched())
        rotator = await stack.enter_async_context(rotator_of(settings, metrics, progress))
        broker = broker_of(settings)
        stack.push_async_callback(broker.close)
        health = Health(broker.state, metrics, partial(gateway_states, rotator), stopping.is_set)
        fleet = fleet_of(settings, broker, rotator, progress, stopping)
        bound = await stack.enter_async_context(serving(health, settings.http, fleet))
        await stack.enter_async_context(beside(keep_up(fleet, broker)))
        sweep = _sweeping(settings, rotator, broker, metrics)
        await stack.enter_async_context(beside(sweep.run()))
        consumer = consumer_of(settings, intake, broker, rotator, metrics, stopping)
        retiring = _retiring(settings, consumer)
        await stack.enter_async_context(beside(retiring.run()))

        def ended(certificate: str | None, outcome: str) -> None:
            sweep.ended(certificate, outcome)
            retiring.ended(certificate, outcome)

        # The copy has the turns of the one that `retiring` knows.
        consumer = replace(consumer, on_ended=ended, onlooker=fleet)
        host = settings.http.listen.rpartition(":")[0]
        _log.info("worker.started", listen=f"{host}:{bound}", certificates=len(settings.certificates))
        vigil = Vigil(manager, partial(_glance, broker, metrics), stopping)
        await stack.enter_async_context(beside(vigil.keep()))
        await stack.enter_async_context(beside(remember(broker, metrics, gateways_by_certificate(settings))))
        spare_the_collector()
        await consumer.run()
    _log.info("worker.stopped")


def consumer_of(
    settings: Settings, intake: Intake, broker: Broker, rotator: Rotator, metrics: Metrics, stopping: asyncio.Event
) -> Consumer:
    return Consumer(
        broker,
        intake,
        rotator,
        certificates_of(settings),
        _policy(settings),
        metrics,
        utc_now,
        _chance,
        stopping,
        Admission(settings.broker.prefetch, is_shared=len(settings.gateways) > 1),
    )


def substitute_of(settings: Settings, broker: Broker, rotator: Rotator, names: Collection[str]) -> Substitute:
    """For the sweep's renewals of these certificates."""

    def consumer(leaving: asyncio.Event, sieve: Sieve) -> Consumer:
        return replace(consumer_of(settings, intake_of(settings), broker, rotator, Metrics(), leaving), sieve=sieve)

    def is_own(message: Message) -> bool:
        return message.user_id == OWN_PRODUCER and identify(message.body)[0] in names

    return Substitute(broker, consumer, is_own, settings.retry.parking_seconds[0])


def spare_the_collector() -> None:
    """What is loaded by now stays for good: looking through it again and again took a fifth of a rotation's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)


def _sweeping(settings: Settings, rotator: Rotator, broker: Broker, metrics: Metrics) -> Sweeping:
    every, sweeper = settings.sweep.every_seconds, sweeper_of(settings, rotator)
    is_active = partial(_is_active, broker)
    return Sweeping(sweeper, broker.publish_own, is_active, broker.past, every, utc_now, metrics.swept)


def _retiring(settings: Settings, consumer: Consumer) -> Retiring:
    certificates, broker = keeping(certificates_of(settings)), consumer.broker
    is_active, retired = partial(_is_active, broker), consumer.metrics.retired
    return Retiring(consumer.rotator, certificates, consumer.turn, is_active, broker.past, retired)


def gateways_by_certificate(settings: Settings) -> Mapping[str, Collection[str]]:
    return {name: {to.gateway for to in one.deployments} for name, one in settings.certificates.items()}


async def _glance(broker: Broker, metrics: Metrics) -> Glance:
    return Glance(await broker.state(), metrics.counted(metrics.connects), metrics.counted(metrics.deliveries))


async def _is_active(broker: Broker) -> bool:
    return (await broker.state()).is_active


def _policy(settings: Settings) -> Policy:
    retry = settings.retry
    return Policy(RetryPolicy(retry.parking_seconds, retry.attempts), retry.slice_seconds, retry.drain_seconds)


def _stop_on_signals(stopping: asyncio.Event, manager: ServiceManager) -> None:
    loop = asyncio.get_running_loop()
    service = asyncio.current_task()

    def stop() -> None:
        if stopping.is_set() and service is not None:
            service.cancel()
        stopping.set()
        manager.stops()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
