"""`rotation-worker publish`: made for the hooks of ACME clients."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from worker.broker import embedded_file, open_broker
from worker.broker.base import Broker, BrokerError, Message, TopologyError, sound_traceparent
from worker.broker.ownership import check_ownership
from worker.commands.exits import BAD_MATERIAL, OK, UNAVAILABLE, WRONG_SETTINGS, WRONG_USE
from worker.commands.next_steps import by_text, next_step
from worker.commands.output import print_json
from worker.commands.refusals import in_json, print_refusal, say_next
from worker.core.errors import RefusedError
from worker.hooks import HookRenewal, NotOurs, read_hook
from worker.publishing import Published, Wish, publish
from worker.settings import Settings, SettingsError
from worker.settings.loading import lacks_certificate, load_for_publishing
from worker.settings.resolve import broker_url
from worker.shielding import judge_of
from worker.spool import SpoolError

_BY_HAND: Final = "rotation-worker publish CERT --chain fullchain.pem --key privkey.pem"
_SENT_LATER: Final = "start the broker, or correct [broker] in the settings; then publish anything, or this again"

_LACKING: Final = "these settings have no certificate of that name: a worker refuses what its own do not know"
_GIVE_NAME: Final = "give the ACME client's name the settings' one in publish.names, or add it below [certificates]"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words", nargs="*", metavar="CERT", help="the certificate's name; or what a hook was called with"
    )
    parser.add_argument("--chain", type=Path, help="PEM file: the certificate and its chain")
    parser.add_argument("--key", type=Path, help="PEM file: the private key")
    reasons = ("renewal", "manual", "key_compromise", "ca_incident")
    parser.add_argument("--reason", choices=reasons, default="renewal")
    parser.add_argument("--allow-shorter-validity", action="store_true", help="with an urgent reason: may go back")
    parser.epilog = "example: rotation-worker publish shop --chain fullchain.pem --key privkey.pem"


def execute(args: argparse.Namespace) -> int:
    # This command says itself what became of the renewal. Libraries' texts may quote a URL with its password.
    logging.getLogger().addHandler(logging.NullHandler())
    match _wish(args):
        case NotOurs():
            return OK
        case None:
            return _misused(args)
        case Wish() as wish:
            # As programs that are traced hand it to those that they start.
            return _carry_out(replace(wish, traceparent=sound_traceparent(os.environ.get("TRACEPARENT"))), args)


def _misused(args: argparse.Namespace) -> int:
    told = "needs CERT, --chain and --key, or what an ACME client hands to its hook"
    if args.json:
        print_refusal("usage", told, _BY_HAND)
    return _complain(told, WRONG_USE, _BY_HAND)


def _wish(args: argparse.Namespace) -> Wish | NotOurs | None:
    """What is to be published; None when nobody can tell."""
    if args.chain is not None and args.key is not None and len(args.words) == 1:
        return Wish(args.words, args.chain, args.key, args.reason, args.allow_shorter_validity)
    if args.chain is not None or args.key is not None:
        return None
    renewed = read_hook(args.words, os.environ)
    if not isinstance(renewed, HookRenewal):
        return renewed
    return Wish(renewed.names, renewed.chain, renewed.private_key, args.reason, args.allow_shorter_validity)


def _carry_out(wish: Wish, args: argparse.Namespace) -> int:
    try:
        with in_json(args):
            published = asyncio.run(_publish(wish, *_settings(args)))
    except RefusedError as error:
        return _complain(f"{error.reason}: {error.message}", BAD_MATERIAL, next_step(error))
    except SpoolError as error:
        return _complain(str(error), UNAVAILABLE, next_step(error))
    except SettingsError as error:
        lost = "nothing was written down: publish it again when that is mended"
        raise SettingsError([*error.problems, lost], next_step=error.next_step) from None
    status = _told(published, as_json=args.json)
    if lacks_certificate(published.certificate, args.config, os.environ):
        # On the worker's own host: elsewhere the settings of a hook have no certificates.
        _complain(f"{published.certificate}: {_LACKING}", status, _GIVE_NAME)
    return status


class _NoBroker:
    """Stands for a broker that the settings do not tell: what is published waits in the spool until that is mended."""

    def __init__(self, problem: str) -> None:
        self._problem = problem

    async def publish_renewal(self, _message: Message) -> None:
        raise BrokerError(self._problem)

    async def close(self) -> None:
        """Nothing was opened."""


async def _publish(wish: Wish, settings: Settings, mistakes: Sequence[str]) -> Published:
    broker = _NoBroker("; ".join(mistakes)) if mistakes else _broker(settings)
    try:
        return await publish(wish, settings, broker, datetime.now(UTC), mistakes)
    finally:
        await broker.close()


def _settings(args: argparse.Namespace) -> tuple[Settings, Sequence[str]]:
    """And what in them keeps a renewal from being sent."""
    settings, mistakes = load_for_publishing(args.config, os.environ)
    try:
        file = embedded_file(broker_url(settings.broker))
        if file is not None:
            check_ownership(file)
    except SettingsError as error:
        return settings, [*mistakes, *error.problems]
    except TopologyError as error:
        return settings, [*mistakes, str(error)]
    return settings, mistakes


def _broker(settings: Settings) -> Broker:
    url, judge, producer = broker_url(settings.broker), judge_of(settings), settings.publish.producer
    return open_broker(settings.broker, url, settings.retry, exposes=judge, producer=producer)


def _told(published: Published, *, as_json: bool) -> int:
    for path in published.bad:
        _complain(f"{path}: is no message of ours, and was put aside", OK)
    what_next = _what_next(published)
    if as_json:
        print_json({**asdict(published), **({"next": what_next} if what_next else {})})
    elif not published.waiting:
        print(f"{published.certificate}: renewal {published.renewal_id} is with the broker")
    if published.waiting:
        waits = f"{published.waiting} waiting in the spool; nothing is lost, the next publish sends them"
        status = WRONG_SETTINGS if published.mistakes else UNAVAILABLE
        return _complain(f"{published.problem}: {waits}", status, what_next)
    return _complain(published.problem, OK, what_next) if published.problem else OK


def _what_next(published: Published) -> str:
    """Empty where all is well."""
    if not published.problem:
        return ""
    if published.mistakes:
        return next_step(SettingsError(published.mistakes))
    return by_text(published.problem, _SENT_LATER if published.waiting else next_step(SpoolError()))


def _complain(text: str, status: int, what_next: str = "") -> int:
    sys.stderr.write(f"rotation-worker publish: {text}\n")
    if what_next:
        say_next(what_next)
    return status
