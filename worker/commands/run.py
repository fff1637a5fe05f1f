"""`rotation-worker run`: the service."""

import argparse
import asyncio

import structlog

from worker.app import run
from worker.commands.exits import INTERNAL, OK
from worker.commands.loading import log_level, settings_of
from worker.settings.loading import check_secret_files
from worker.telemetry import configure_logs


def configure(_parser: argparse.ArgumentParser) -> None:
    """No arguments of its own."""


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args, is_service=True))
    settings = settings_of(args)
    check_secret_files(settings)
    try:
        asyncio.run(run(settings))
    except asyncio.CancelledError:
        return OK
    except ExceptionGroup as bugs:
        structlog.get_logger().exception("worker.crashed", exc_info=bugs)
        return INTERNAL
    return OK
