"""Where a worker that ran as a process may have left a secret: its pages, its commands, every file below its folder.

What it says on stderr is the test's own by then, and searched with it.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc.jwk import ECKey, OKPKey, RSAKey

from tests.support.acme import SCRIPT, succeed
from tests.support.canary import is_leak
from tests.support.keys_made import MADE, Key, raw

_KINDS: Final[Mapping[str, Any]] = {"EC": ECKey, "OKP": OKPKey, "RSA": RSAKey}
_KEYS_BELONG: Final = frozenset(
    {"lego", "certbot", "dehydrated", "keys", "api.key", "key.pem", "password", "secret", "worker.toml"}
)
"""What an ACME client keeps, or the test itself has written."""
_PAGES: Final = ("/", "/livez", "/readyz", "/metrics")
_COMMANDS: Final = (("history", "--json"), ("dead", "list", "--json"), ("history", "-v"), ("check", "-v", "--json"))


async def assert_nothing_came_out(settings: Path) -> None:
    """To be called while the worker of these settings is up; from then on the test's own canary knows those keys."""
    known = list(keys_below(settings.parent))
    assert known, "there is no key to look for"
    MADE.extend(known)
    said = {**await _pages(settings), **await _commands(settings)}
    leaking = [place for place, text in said.items() if is_leak(text, MADE)]
    assert not leaking, f"a secret came out at {leaking}"
    assert_nothing_lies_below(settings.parent)


def assert_nothing_lies_below(folder: Path) -> None:
    files = [file for file in folder.rglob("*") if file.is_file() and not _may_hold_keys(file, folder)]
    assert files, "there is no file to search"
    leaking = [str(file.relative_to(folder)) for file in files if _holds_secret(file)]
    assert not leaking, f"a secret lies in {leaking}"


def keys_below(folder: Path) -> Iterator[Key]:
    for file in folder.rglob("*"):
        if file.is_file() and _may_hold_keys(file, folder):
            yield from _key_in(file.read_bytes())


def _key_in(content: bytes) -> Iterator[Key]:
    try:
        if content.startswith(b"{"):
            fields = json.loads(content)
            key: object = _KINDS[fields["kty"]].import_key(fields).private_key
        else:
            key = load_pem_private_key(content, None)
    except (ValueError, KeyError, TypeError):
        return  # another file of the client's
    if isinstance(key, Key):
        yield key


def _may_hold_keys(file: Path, folder: Path) -> bool:
    return file.relative_to(folder).parts[0] in _KEYS_BELONG


def _holds_secret(file: Path) -> bool:
    content = file.read_bytes()
    return is_leak(content.decode("latin-1"), MADE) or any(one in content for key in MADE for one in raw(key))


async def _pages(settings: Path) -> dict[str, str]:
    listen = tomllib.loads(settings.read_text(encoding="utf-8"))["http"]["listen"]
    pages = {}
    async with aiohttp.ClientSession(f"http://{listen}") as session:
        for path in _PAGES:
            async with session.get(path) as answer:
                pages[path] = f"{answer.headers} {await answer.text()}"
    return pages


async def _commands(settings: Path) -> dict[str, str]:
    return {" ".join(words): await succeed(SCRIPT, *words, "--config", settings) for words in _COMMANDS}
