"""`rotation-worker run`: the service."""

import argparse
import asyncio
import os
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import cast

import structlog

from worker.app import run
from worker.broker.base import BrokerError
from worker.building import certificates_of, check_keys
from worker.collector import Collector
from worker.commands.exits import INTERNAL, OK
from worker.commands.loading import log_level, settings_of
from worker.commands.refusals import in_json
from worker.notifying import ServiceManager
from worker.settings import Settings, SettingsError
from worker.settings.loading import check_named_files
from worker.settings.tracing import are_traces_wanted, collector_files
from worker.telemetry import configure_logs
from worker.tracing import UNTRACED, Tracing


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: rotation-worker run --config /etc/rotation-worker/worker.toml"


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args, is_service=True))
    try:
        with in_json(args):
            read = partial(_read, args)
            settings, tracing = read(), _tracing()
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                manager = ServiceManager.named_in(os.environ, os.getpid())
                runner.run(run(settings, read_again=read, tracing=tracing, manager=manager))
    except asyncio.CancelledError:
        return OK
    except (SettingsError, BrokerError):
        raise
    except Exception:  # noqa: BLE001 - Python would print its text, which may quote the input
        structlog.get_logger().exception("worker.crashed")
        return INTERNAL
    return OK


def _read(args: argparse.Namespace) -> Settings:
    """All that can be known to be wrong before anything is done."""
    settings = settings_of(args)
    check_named_files(settings)
    check_keys(settings)
    certificates_of(settings)
    return settings


def _tracing() -> Tracing:
    """Loaded only where traces are wanted."""
    if not are_traces_wanted(os.environ):
        return UNTRACED
    try:
        exporting = import_module("worker.tracing.exporting").exporting
        sending = import_module("worker.tracing.sending").sending
    except ImportError:
        structlog.get_logger().warning("tracing.missing", install="cert-rotation-worker[tracing]")
        return UNTRACED
    collector = Collector(collector_files(os.environ))
    return cast("Tracing", exporting(sending(collector.context)))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Of uvloop where it is installed; None is asyncio's own."""
    try:
        uvloop = import_module("uvloop")
    except ImportError:
        return None
    return cast("Callable[[], asyncio.AbstractEventLoop]", uvloop.new_event_loop)
