"""`rotation-worker run`: the service."""

import argparse
import asyncio
from collections.abc import Callable
from importlib import import_module
from typing import cast

import structlog

from worker.app import certificates_of, check_keys, run
from worker.broker.base import BrokerError
from worker.commands.exits import INTERNAL, OK
from worker.commands.loading import log_level, settings_of
from worker.commands.refusals import in_json
from worker.settings import SettingsError
from worker.settings.loading import check_named_files
from worker.telemetry import configure_logs


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: rotation-worker run --config /etc/rotation-worker/worker.toml"


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args, is_service=True))
    try:
        with in_json(args):
            settings = settings_of(args)
            check_named_files(settings)
            check_keys(settings)
            certificates_of(settings)
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(run(settings))
    except asyncio.CancelledError:
        return OK
    except (SettingsError, BrokerError):
        raise
    except Exception:  # noqa: BLE001 - Python would print its text, which may quote the input
        structlog.get_logger().exception("worker.crashed")
        return INTERNAL
    return OK


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Of uvloop where it is installed; None is asyncio's own."""
    try:
        uvloop = import_module("uvloop")
    except ImportError:
        return None
    return cast("Callable[[], asyncio.AbstractEventLoop]", uvloop.new_event_loop)
