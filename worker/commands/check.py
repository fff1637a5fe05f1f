"""`rotation-worker check`: settings, rights at broker and gateways, and credentials, each named."""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from worker.broker import broker_of, embedded_file
from worker.broker.base import Broker, BrokerError, TopologyError
from worker.broker.base import Right as BrokerRight
from worker.broker.ownership import check_ownership
from worker.building import certificates_of, check_keys, intake_of, kept_of
from worker.commands.exits import OK, WRONG_SETTINGS
from worker.commands.finding import Finding
from worker.commands.fitting import fits
from worker.commands.loading import log_level, settings_of
from worker.commands.next_steps import by_text, next_step, next_step_after
from worker.commands.output import marks_for, print_json, shown
from worker.commands.refusals import in_json
from worker.core.deployment import Deployment
from worker.core.errors import RotationError
from worker.gateways.base import Gateway, Right
from worker.gateways.together import together
from worker.generations import gateways_of, vault_of
from worker.settings import Settings, SettingsError
from worker.settings.loading import check_named_files
from worker.settings.resolve import broker_url
from worker.settings.tracing import are_traces_wanted
from worker.shielding import judge_of
from worker.telemetry import Metrics, configure_logs
from worker.trust.vault import Vault
from worker.trust.vault.rights import ReadRight, read_rights
from worker.verification import hostless
from worker.web.server import check_doors

_GRANT: Final = "grant the account what is named; docs/least-privilege.md has the rights ready to paste"
_FOLDER: Final = "make the folder of broker.url, for the user who runs the worker"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: rotation-worker check --config /etc/rotation-worker/worker.toml"


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args))
    with in_json(args):
        findings = [finding.told_by_check() for finding in _findings(args)]
    if args.json:
        print_json([asdict(finding) for finding in findings])
    else:
        marks = marks_for(sys.stdout)
        for line in (line for finding in findings for line in finding.lines(marks)):
            print(shown(line))
    return OK if all(finding.is_good for finding in findings) else WRONG_SETTINGS


def _findings(args: argparse.Namespace) -> Sequence[Finding]:
    try:
        settings = settings_of(args)
        check_named_files(settings)
        check_keys(settings)
        certificates_of(settings)
        intake_of(settings)
        broker_url(settings.broker)
        check_doors(settings.http)
        are_traces_wanted(os.environ)
    except SettingsError as error:
        others = (Finding.skipped(what, "the settings come first") for what in ("broker", "gateways"))
        return [*(_of_settings(problem, error) for problem in error.problems), *others]
    return [Finding("settings", is_good=True), *_unproven(settings), *fits(settings), *asyncio.run(_outside(settings))]


def _of_settings(problem: str, error: SettingsError) -> Finding:
    what_next = error.next_step or by_text(problem, "correct it there, and check again")
    return Finding("settings", is_good=False, message=problem, next=what_next)


def _unproven(settings: Settings) -> Iterator[Finding]:
    """What `verify` is asked to look at, and cannot."""
    for name, certificate in settings.certificates.items():
        for wildcard in hostless(certificate):
            message = f"nobody can ask for {wildcard}: name a host in verify.hosts"
            yield Finding(f"certificate {name}: verify", is_good=True, message=message, is_known=False)


async def _outside(settings: Settings) -> Sequence[Finding]:
    findings = list(await _of_broker(settings))
    async with gateways_of(settings, Metrics()) as gateways:
        for name, gateway in gateways.items():
            findings += await _of_gateway(gateway, _deployments_at(settings, name))
    async with vault_of(settings) as vault:
        if vault is not None:
            findings += await _of_vault(settings, vault)
        return [*findings, *await _of_previous(settings, vault)]


async def _of_previous(settings: Settings, vault: Vault | None) -> Sequence[Finding]:
    """All certificates lie at the same place."""
    kept = next(iter(kept_of(settings, vault).values()), None)
    if kept is None:
        return []
    what = "trust.previous"
    try:
        is_known = await kept.can_keep()
    except RotationError as error:
        return [Finding.of(what, error)]
    message = "" if is_known else "Vault does not let the worker ask for its rights"
    return [Finding(what, is_good=True, message=message, is_known=is_known)]


async def _of_vault(settings: Settings, vault: Vault) -> Sequence[Finding]:
    """Who is refused at the door is not asked what it may do inside."""
    login = await _tried("vault", vault.check())
    if not login.is_good:
        return [login, Finding.skipped("vault: rights", "Vault refuses the login, or is away")]
    below = sorted({one.vault_below for one in settings.certificates.values() if one.vault_below is not None})
    return [login, *(_of_reading(one) for one in await read_rights(vault, below))]


def _of_reading(right: ReadRight) -> Finding:
    is_known, is_good = right.is_there is not None, right.is_there is not False
    what_next = "" if is_good else next_step_after("vault_forbidden")
    return Finding(f"vault: read {right.path}", is_good, right.message, is_known, what_next)


def _deployments_at(settings: Settings, gateway: str) -> Mapping[str, Deployment]:
    """By their place in the settings."""
    return {
        f"certificates.{name}.deployments.{number}": one
        for name, certificate in certificates_of(settings).items()
        for number, one in enumerate(certificate.deployments)
        if one.gateway == gateway
    }


async def _of_gateway(gateway: Gateway, deployments: Mapping[str, Deployment]) -> Sequence[Finding]:
    """Credentials first: where they are refused, no right need be tried, and no account be locked by it.

    Whoever may not list has shown who it is all the same; whether its deployments need lists, their rights tell.
    """
    what = f"gateway {gateway.name}"
    try:
        await gateway.check()
    except RotationError as error:
        if error.reason != "forbidden" or not deployments:
            return [Finding.of(what, error), Finding.skipped(f"{what}: rights", "the gateway is not usable as it is")]
    rights = [_of_right(what, one) for one in await gateway.rights(tuple(deployments.values()))]
    return [Finding(what, is_good=True), *rights, *await _of_stored(gateway, deployments)]


async def _of_stored(gateway: Gateway, deployments: Mapping[str, Deployment]) -> Sequence[Finding]:
    """Each that is named by its id alone: what has a name besides is created where it is not there."""
    named = {place: one.certificate_id for place, one in deployments.items() if one.name is None}
    found = await together(_shown(gateway, place, wanted) for place, wanted in named.items() if wanted is not None)
    told = [one for one in found if one.message]
    return [Finding(f"gateway {gateway.name}: stored certificates", is_good=True)] if found and not told else told


async def _shown(gateway: Gateway, place: str, certificate_id: str) -> Finding:
    what = f"{place}.certificate_id"
    try:
        await gateway.show(certificate_id)
    except RotationError as error:
        if error.reason != "not_found":  # whether it may be shown, and the gateway is there, is told of the gateway
            return Finding(what, True, f"not known: {error.reason}: {error.message}", is_known=False)
        message = f"not_found: no certificate with this id is stored at {gateway.name}"
        step = f"name one that is there: `rotation-worker discover {gateway.name}` prints the settings of each"
        return Finding(what, is_good=False, message=message, next=step)
    return Finding(what, is_good=True)


def _of_right(what: str, right: Right) -> Finding:
    is_known, is_good = right.state != "unknown", right.state != "missing"
    return Finding(f"{what}: {right.what}", is_good, right.message, is_known, "" if is_good else _GRANT)


async def _of_broker(settings: Settings) -> Sequence[Finding]:
    file = embedded_file(broker_url(settings.broker))
    if file is not None and not file.exists():
        return [_to_be_made(file)]
    broker = broker_of(settings, judge_of(settings))
    try:
        topology = await _tried("broker: topology", broker.declare())
        return [Finding("broker: connect", is_good=True), topology, *await _rights(broker)]
    except BrokerError as error:
        objects = Finding.skipped("broker: topology and rights", "there is no connection")
        return [Finding.of("broker: connect", error), objects]
    finally:
        await broker.close()


def _to_be_made(file: Path) -> Finding:
    """The embedded broker's first user makes its file; a check leaves nothing behind."""
    try:
        check_ownership(file)
    except TopologyError as error:
        return Finding.of("broker: connect", error)
    parent = next(one for one in file.absolute().parents if one.exists())
    if parent.is_dir() and os.access(parent, os.W_OK | os.X_OK):
        return Finding("broker: connect", is_good=True, message="there is no file yet; it can be made")
    message = "there is no file yet, and it cannot be made"
    return Finding("broker: connect", is_good=False, message=message, next=_FOLDER)


async def _rights(broker: Broker) -> Sequence[Finding]:
    rights = await broker.rights()
    return [_of_broker_right(one) for one in rights]


def _of_broker_right(right: BrokerRight) -> Finding:
    what_next = next_step(TopologyError(right.refusal)) if right.refusal else ""
    return Finding(f"broker: {right.what}", is_good=not right.refusal, message=right.refusal, next=what_next)


async def _tried(what: str, attempt: Awaitable[None]) -> Finding:
    try:
        await attempt
    except (RotationError, TopologyError) as error:
        return Finding.of(what, error)
    return Finding(what, is_good=True)
