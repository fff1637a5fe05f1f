"""`rotation-worker publish`: made for the hooks of ACME clients."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from worker.broker import open_broker
from worker.broker.base import Broker, BrokerError, Message
from worker.commands.exits import BAD_MATERIAL, OK, UNAVAILABLE, WRONG_USE
from worker.commands.loading import settings_of
from worker.commands.output import print_json
from worker.core.errors import RefusedError
from worker.hooks import NotOurs, read_hook
from worker.publishing import Published, Wish, publish
from worker.settings import Settings, SettingsError
from worker.settings.resolve import broker_url
from worker.spool import SpoolError


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words", nargs="*", metavar="CERT", help="the certificate's name; or what a hook was called with"
    )
    parser.add_argument("--chain", type=Path, help="PEM file: the certificate and its chain")
    parser.add_argument("--key", type=Path, help="PEM file: the private key")
    reasons = ("renewal", "manual", "key_compromise", "ca_incident")
    parser.add_argument("--reason", choices=reasons, default="renewal")
    parser.add_argument("--allow-shorter-validity", action="store_true", help="with an urgent reason: may go back")


def execute(args: argparse.Namespace) -> int:
    wishes = _wishes(args)
    if wishes is None:
        return _complain("needs CERT, --chain and --key, or what an ACME client hands to its hook", WRONG_USE)
    # A hook may tell of several certificates: one that is bad does not keep the others back.
    return max((_one(wish, args) for wish in wishes), default=OK)


def _one(wish: Wish, args: argparse.Namespace) -> int:
    try:
        published = asyncio.run(_publish(wish, settings_of(args)))
    except RefusedError as error:
        return _complain(f"{error.reason}: {error.message}", BAD_MATERIAL)
    except SpoolError as error:
        return _complain(str(error), UNAVAILABLE)
    return _told(published, as_json=args.json)


def _wishes(args: argparse.Namespace) -> Sequence[Wish] | None:
    """What is to be published: none for a hook's call about something else; None when nobody can tell."""
    if args.chain is not None and args.key is not None and len(args.words) == 1:
        return [Wish(args.words, args.chain, args.key, args.reason, args.allow_shorter_validity)]
    if args.chain is not None or args.key is not None:
        return None
    renewed = read_hook(args.words, os.environ)
    if isinstance(renewed, NotOurs):
        return []
    urgency = (args.reason, args.allow_shorter_validity)
    return [Wish(one.names, one.chain, one.private_key, *urgency) for one in renewed] or None


class _NoBroker:
    """Stands for a broker whose URL cannot be read: what is published waits in the spool until somebody mends that."""

    def __init__(self, problem: str) -> None:
        self._problem = problem

    async def publish_renewal(self, _message: Message) -> None:
        raise BrokerError(self._problem)

    async def close(self) -> None:
        """Nothing was opened."""


async def _publish(wish: Wish, settings: Settings) -> Published:
    broker = _broker(settings)
    try:
        return await publish(wish, settings, broker, datetime.now(UTC))
    finally:
        await broker.close()


def _broker(settings: Settings) -> "Broker | _NoBroker":
    try:
        url = broker_url(settings.broker)
    except SettingsError as error:
        return _NoBroker(str(error))
    return open_broker(settings.broker, url, settings.retry, producer=settings.publish.producer)


def _told(published: Published, *, as_json: bool) -> int:
    for path in published.bad:
        _complain(f"{path}: is no message of ours, and was put aside", OK)
    if as_json:
        print_json(asdict(published))
    elif not published.waiting:
        print(f"{published.certificate}: renewal {published.renewal_id} is with the broker")
    if published.waiting:
        waits = f"{published.waiting} waiting in the spool; nothing is lost, the next publish sends them"
        return _complain(f"{published.problem}: {waits}", UNAVAILABLE)
    return _complain(published.problem, OK) if published.problem else OK


def _complain(text: str, status: int) -> int:
    sys.stderr.write(f"rotation-worker publish: {text}\n")
    return status
