"""TOML files as trees: bounded, and mistakes told by line and key, never by value."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from worker.core.errors import unchained
from worker.settings.errors import SettingsError
from worker.settings.files import problem_of_kind, read_bounded
from worker.settings.folders import problem_of_folders

LARGEST: Final = 1024 * 1024
_AT_LINE: Final = re.compile(r"at line (\d+)")
_PART: Final = r"""(?:[A-Za-z0-9_-]+|"[^"=]*"|'[^'=]*')"""
_KEY: Final = re.compile(rf"\s*(\[?\[?\s*{_PART}(?:\s*\.\s*{_PART})*\s*\]?\]?)\s*(?:=|#|$)")
_REPEATS: Final = ("overwrite", "twice", "redefine", "immutable")
_NAMED: Final = "name your settings with --config FILE or ROTATION_CONFIG; config/worker.toml is an example"

Tree = dict[str, Any]


@unchained
def read_toml(file: Path) -> Tree:
    """Raises SettingsError."""
    text = _text(file)
    try:
        return tomllib.loads(f"{text}\n")  # a mistake in an unfinished last line has a number, too
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([f"{file}: {_place(str(error), text)}"]) from None
    except RecursionError:
        raise SettingsError([f"{file}: nested too deeply"]) from None
    except ValueError:
        raise SettingsError([f"{file}: a number or a date that cannot be read"]) from None


@unchained
def _text(file: Path) -> str:
    def look(status: os.stat_result) -> None:
        problem = problem_of_kind(status) or problem_of_folders(file)
        if problem is not None:
            raise SettingsError([f"{file}: {problem}"])

    try:
        content = read_bounded(file, LARGEST, look)
    except OSError as error:
        raise SettingsError([f"{file}: {error.strerror}"], next_step=_where_to(error)) from None
    if len(content) > LARGEST:
        raise SettingsError([f"{file}: over {LARGEST} bytes"])
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise SettingsError([f"{file}: not in UTF-8"]) from None


def _where_to(error: OSError) -> str:
    return _NAMED if isinstance(error, FileNotFoundError | NotADirectoryError) else ""


def _place(message: str, text: str) -> str:
    """The line and its key; the reader's own words may quote a value."""
    found = _AT_LINE.search(message)
    what = "stands twice" if any(word in message for word in _REPEATS) else "is not valid TOML"
    if found is None:
        return f"the end of the file {what}"
    return f"line {found[1]}: {_key_of(text, int(found[1])) or 'what stands there'} {what}"


def _key_of(text: str, number: int) -> str | None:
    """Of a line, unless it may stand within a string of several lines, and so be a value."""
    lines = text.split("\n")
    if '"""' in text or "'''" in text or number > len(lines):
        return None
    line = lines[number - 1]
    key = _KEY.match(line)
    is_named = key is not None and ("=" in line or key[1].startswith("["))
    return key[1].strip() if key is not None and is_named else None
