"""The settings that a command was told to use."""

import argparse
import os
from typing import Final

from worker.settings import Settings
from worker.settings.loading import load

_DEBUG: Final = 10
_INFO: Final = 20
_WARNING: Final = 30


def log_level(args: argparse.Namespace, *, is_service: bool = False) -> int:
    """Of `logging`, which is slow to import. What prints its result logs only what is wrong, unless told to."""
    if args.verbose:
        return _DEBUG
    return _INFO if is_service else _WARNING


def settings_of(args: argparse.Namespace) -> Settings:
    """Raises SettingsError with every problem found."""
    return load(args.config, os.environ)
