"""What a cloud says in its errors, made fit to be shown: bounded, printable, without our secrets."""

from collections.abc import Iterable
from typing import Final

from worker.core import events

_SHORTEST_SECRET: Final = 8


def shown(text: str, secrets: Iterable[str]) -> str:
    """At most 200 printable characters of `text`; where it quotes a secret, or a line of one, stars."""
    text = text[:100_000]
    for secret in secrets:
        for line in secret.splitlines():
            if len(line) >= _SHORTEST_SECRET:
                text = text.replace(line, "***")
    return events.shown(text)
