"""The composition root: builds the worker from its settings, runs it, and stops it in order."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final

import structlog

from worker.admission import Admission
from worker.attempt import Attempts, Policy
from worker.beside import beside
from worker.broker import broker_of
from worker.broker.base import Broker, Message
from worker.building import certificates_of, chance, intake_of
from worker.consumer import Consumer, Sieve
from worker.core.backoff import RetryPolicy
from worker.core.message import identify
from worker.core.renewal import OWN_PRODUCER
from worker.cycles import look_through_all, spared
from worker.fleet.following import keep_letters, keep_up
from worker.fleet.gateways import gateway_standings
from worker.fleet.model import FleetInputs, FleetModel
from worker.fleet.progress import RunningRotations
from worker.fleet.values import GatewayStanding
from worker.generations import Generation, Generations, first_of
from worker.intake import Intake
from worker.notifying import ServiceManager, Watchdog, WorkerSample
from worker.reloading import Background, Beside, Reloading
from worker.retiring import Retiring, keeping
from worker.rotation import Rotator
from worker.settings import Settings
from worker.settings.resolve import lineages
from worker.shielding import Shielding, judge_of, judge_of_today
from worker.substitute import Substitute
from worker.sweep import Sweeper, Sweeping
from worker.telemetry import Metrics
from worker.tracing import UNTRACED, Tracing
from worker.under_way import Unwatched, Watcher
from worker.wall_clock import utc_now
from worker.web.server import GatewayState, Health, serving

_log = structlog.get_logger()
_STDERR: Final = 2
_NOBODY: Final = ServiceManager()


def sweeper_of(settings: Settings, rotator: Rotator) -> Sweeper:
    return Sweeper(intake_of(settings), rotator, certificates_of(settings), lineages(settings))


def gateway_states(*rotators: Rotator) -> Mapping[str, GatewayState]:
    """Of every gateway of theirs; of those with the same name, of the last one's."""
    return {
        name: GatewayState(not account.is_down, rotator.forecast.seconds_left(name), account.held_for, budgets)
        for rotator in rotators
        for name, gateway in rotator.gateways.items()
        for account in [gateway.account]
        for budgets in [account.usage().windows]
    }


def fleet_of(
    generations: Generations, broker: Broker, progress: RunningRotations, stopping: asyncio.Event
) -> FleetModel:
    """What is known of the fleet, for whoever looks."""

    def standings() -> Sequence[GatewayStanding]:
        today = generations.today
        kinds = {name: gateway.kind for name, gateway in today.settings.gateways.items()}
        return gateway_standings(today.rotator, kinds, utc_now())

    inputs = FleetInputs(broker.state, broker.dead, standings, stopping.is_set, utc_now)
    return FleetModel(progress.certificates, progress, inputs)


async def run(
    settings: Settings,
    *,
    stopping: asyncio.Event | None = None,
    watcher: Watcher | None = None,
    read_again: Callable[[], Settings] | None = None,
    tracing: Tracing = UNTRACED,
    manager: ServiceManager = _NOBODY,
) -> None:
    """The service, until SIGTERM or SIGINT, or `stopping`; a second signal cancels what is still in hand.

    With `read_again`, SIGHUP makes it go by what that returns; a SettingsError from there changes nothing.
    """
    metrics = Metrics()
    stopping = stopping or _stopping_on_signals(manager)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, tracing.close)
        progress = RunningRotations(certificates_of(settings), utc_now, also=watcher or Unwatched())
        generations = Generations(first_of(settings, metrics, progress))
        stack.push_async_callback(generations.close)
        broker = broker_of(settings, judge_of_today(lambda: generations.today.settings))
        stack.push_async_callback(broker.close)
        fleet = fleet_of(generations, broker, progress, stopping)
        bound = await stack.enter_async_context(_shown(fleet, generations, broker, metrics))
        consumer = _consumer(generations.today, broker, metrics, stopping, tracing)
        background = Background(generations.today, _beside(generations.today, consumer.attempts))
        await stack.enter_async_context(beside(background.run()))
        consumer.attempts = replace(consumer.attempts, on_ended=background.ended, onlooker=fleet)
        if read_again is not None:
            turn_to = partial(_turn_to, consumer, background, fleet)
            reloading = Reloading(read_again, generations, metrics, turn_to, manager.reloading)
            _reload_on_hangup(reloading.asked, stopping)
            await stack.enter_async_context(beside(reloading.run()))
        listen = f"{settings.http.listen.rpartition(':')[0]}:{bound}"
        _log.info("worker.started", listen=listen, certificates=len(settings.certificates))
        await stack.enter_async_context(beside(Watchdog(manager, partial(_sample, broker, metrics), stopping).keep()))
        stack.enter_context(spared())
        await stack.enter_async_context(beside(look_through_all(lambda: consumer.is_idle)))
        await consumer.run()
    _log.info("worker.stopped")


@asynccontextmanager
async def _shown(fleet: FleetModel, generations: Generations, broker: Broker, metrics: Metrics) -> AsyncIterator[int]:
    """Health, metrics and the fleet, kept up and served inside the block; the port."""

    def gateways() -> Mapping[str, GatewayState]:
        # Those that are in the settings no more, too, for as long as rotations are under way there.
        return gateway_states(*(one.rotator for one in generations.all))

    health = Health(fleet.state, metrics, gateways, fleet.inputs.is_stopping)
    async with (
        serving(health, generations.today.settings.http, fleet) as port,
        beside(keep_up(fleet, broker, partial(_remember, metrics, fleet))),
        beside(keep_letters(fleet)),
    ):
        yield port


def attempts_of(settings: Settings, intake: Intake, broker: Broker, rotator: Rotator, metrics: Metrics) -> Attempts:
    certificates, policy = certificates_of(settings), _policy(settings)
    admission = Admission(settings.broker.prefetch, is_shared=len(settings.gateways) > 1)
    return Attempts(broker, intake, rotator, certificates, policy, metrics, utc_now, chance, admission)


def substitute_of(settings: Settings, broker: Broker, rotator: Rotator, names: Collection[str]) -> Substitute:
    """For the sweep's renewals of these certificates."""

    def consumer(leaving: asyncio.Event, sieve: Sieve) -> Consumer:
        return Consumer(attempts_of(settings, intake_of(settings), broker, rotator, Metrics()), leaving, sieve)

    def is_own(message: Message) -> bool:
        return message.user_id == OWN_PRODUCER and identify(message.body)[0] in names

    return Substitute(broker, consumer, is_own, settings.retry.parking_seconds[0], judge_of(settings))


def _consumer(
    generation: Generation, broker: Broker, metrics: Metrics, stopping: asyncio.Event, tracing: Tracing
) -> Consumer:
    settings, intake, rotator = generation.settings, generation.intake, generation.rotator
    attempts = attempts_of(settings, intake, broker, rotator, metrics)
    return Consumer(replace(attempts, tracing=tracing, in_use=generation.in_use), stopping)


def _beside(generation: Generation, attempts: Attempts, before: Sweeping | None = None) -> Beside:
    """What goes on beside the consumer. A sweep goes on where the one before it was."""
    settings, rotator, broker, metrics = generation.settings, generation.rotator, attempts.broker, attempts.metrics
    is_active, every = partial(_is_active, broker), settings.sweep.every_seconds
    sweeper = Sweeper(generation.intake, rotator, generation.certificates, lineages(settings), broker.kept)
    sweep = before or Sweeping(sweeper, broker.publish_own, is_active, broker.past, every, utc_now, metrics.swept)
    certificates = keeping(generation.certificates)
    retiring = Retiring(rotator, certificates, attempts.turn, is_active, broker.past, metrics.retired)
    shielding = Shielding(broker, judge_of(settings))
    return Beside(replace(sweep, sweeper=sweeper, every=every), retiring, shielding)


def _turn_to(consumer: Consumer, background: Background, fleet: FleetModel, generation: Generation) -> None:
    """What comes goes by what was read now."""
    consumer.attempts.admission.is_shared = len(generation.gateways) > 1
    consumer.hand_over(
        intake=generation.intake,
        rotator=generation.rotator,
        certificates=generation.certificates,
        policy=_policy(generation.settings),
        in_use=generation.in_use,
    )
    fleet.keep_to(generation.certificates)
    background.turn_to(generation, _beside(generation, consumer.attempts, background.work.sweep))


def _remember(metrics: Metrics, fleet: FleetModel, event: Mapping[str, object]) -> None:
    """Of the certificates that are in the settings by now."""
    metrics.remember(event, fleet.certificates)


async def _sample(broker: Broker, metrics: Metrics) -> WorkerSample:
    return WorkerSample(await broker.state(), metrics.counted(metrics.connects), metrics.counted(metrics.deliveries))


async def _is_active(broker: Broker) -> bool:
    return (await broker.state()).is_active


def _policy(settings: Settings) -> Policy:
    retry = settings.retry
    return Policy(RetryPolicy(retry.parking_seconds, retry.attempts), retry.slice_seconds, retry.drain_seconds)


def _stopping_on_signals(manager: ServiceManager) -> asyncio.Event:
    stopping, loop, service = asyncio.Event(), asyncio.get_running_loop(), asyncio.current_task()

    def stop() -> None:
        if stopping.is_set() and service is not None:
            service.cancel()
        stopping.set()
        manager.stops()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    return stopping


def _reload_on_hangup(asked: asyncio.Event, stopping: asyncio.Event) -> None:
    """A terminal that has gone away says so with the same signal: then nobody has asked for anything."""
    had_terminal = os.isatty(_STDERR)

    def hear() -> None:
        (stopping if had_terminal and not os.isatty(_STDERR) else asked).set()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hear)
    # It may have come while the worker started: until now it was kept back.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
