"""`rotation-worker topology apply` and `topology export`: the broker objects."""

import argparse
import asyncio
from typing import Final
from urllib.parse import unquote, urlsplit

from worker.broker import broker_of, embedded_file
from worker.broker.topology import definitions
from worker.commands.exits import OK
from worker.commands.loading import log_level, settings_of
from worker.commands.output import print_json
from worker.commands.refusals import in_json
from worker.settings import Settings, SettingsError
from worker.settings.resolve import broker_url, unsigned_producers
from worker.shielding import judge_of
from worker.telemetry import configure_logs

_NAME_RABBITMQ: Final = "name RabbitMQ's URL with ROTATION_BROKER__URL, or settings that have it with --config"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("apply", "export"))
    parser.epilog = "example: rotation-worker topology apply --config /etc/rotation-worker/worker.toml"


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args))
    with in_json(args):
        return _carry_out(settings_of(args), args)


def _carry_out(settings: Settings, args: argparse.Namespace) -> int:
    if args.action == "export":
        unsigned = () if settings.trust.require_signature else unsigned_producers(settings)
        print_json(definitions(settings.broker, settings.retry.parking_seconds, _vhost(settings), unsigned))
        return OK
    asyncio.run(_apply(settings))
    if args.json:
        print_json({"declared": True})
    else:
        print("The broker objects are there, as the settings want them.")
    return OK


def _vhost(settings: Settings) -> str:
    url = broker_url(settings.broker)
    if embedded_file(url) is not None:
        raise SettingsError(["broker.url: the embedded broker has no definitions"], next_step=_NAME_RABBITMQ)
    path = urlsplit(url.reveal()).path
    return unquote(path.removeprefix("/")) or "/"


async def _apply(settings: Settings) -> None:
    # Asked for by name, it is done, also where a worker only checks.
    declaring = settings.broker.model_copy(update={"declare_": True})
    broker = broker_of(settings.model_copy(update={"broker": declaring}), judge_of(settings))
    try:
        await broker.declare()
    finally:
        await broker.close()
