"""The settings that a command was told to use."""

import argparse
import os

from worker.settings import Settings
from worker.settings.loading import load


def settings_of(args: argparse.Namespace) -> Settings:
    """Raises SettingsError with every problem found."""
    return load(args.config, os.environ)
