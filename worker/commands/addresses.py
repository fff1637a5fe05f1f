"""The form of `--url`, by which a running worker is asked."""

from typing import Final
from urllib.parse import urlsplit

from worker.settings import SettingsError
from worker.settings.listening import is_loopback

ALONE: Final = "give HOST:PORT alone, such as http://127.0.0.1:8080: the path is added to it"
UP: Final = "see whether `rotation-worker run` is at work there; --url names another place"
_ANY_PORT: Final = "port 0: the log's `worker.started` names the port; give it with --url"
_IN_A_FILE: Final = "give HOST:PORT alone, and the token in a file with --token-file"
_IN_THE_OPEN: Final = "ask by https://, or over a tunnel to loopback; --insecure sends it all the same"


def check_url(url: str, *, is_token_sent: bool) -> None:
    """Raises SettingsError for what nobody can be asked by, and where the token would be read on the way.

    The URL itself is printed wherever something is wrong with it, so it may have no password.
    """
    if "@" in url:
        raise SettingsError(["--url: a user or a password does not belong in it"], next_step=_IN_A_FILE)
    host = _host_in(url)
    if host is None:
        raise SettingsError(["--url: http://HOST:PORT or https://HOST:PORT is the form"], next_step=ALONE)
    if is_token_sent and url.startswith("http://") and not is_loopback(host):
        raise SettingsError(["--url: the token would cross the network in the open"], next_step=_IN_THE_OPEN)


def next_to(url: str) -> str:
    """What to do where nobody answers."""
    return _ANY_PORT if url.endswith(":0") else UP


def _host_in(url: str) -> str | None:
    """None for what is no such URL. Characters that the reader would silently drop are in none."""
    if not url.startswith(("http://", "https://")) or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port, host.encode("idna").decode("idna")
    except ValueError:
        return None
    return None if parts.query or parts.fragment else host or None
