"""The settings: read once, frozen. The only reader of files and environment."""

from worker.settings.errors import SettingsError
from worker.settings.model import Settings

__all__ = ["Settings", "SettingsError"]
