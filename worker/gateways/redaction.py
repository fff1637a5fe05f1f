"""What a cloud says in its errors, made fit to be shown: bounded, printable, without our secrets."""

from collections.abc import Iterable, Iterator
from typing import Final

from worker.core import events

_SHORTEST_PIECE: Final = 8
"""What is shorter may be an everyday word."""


def shown(text: str, secrets: Iterable[str], pieces: Iterable[str] = ()) -> str:
    """At most 200 printable characters of `text`; where it quotes a secret, or a line of one, stars.

    A secret is starred however short it is. `pieces` are words of which only some are secrets: the long ones count.
    """
    text = text[:100_000]
    hidden = {*_hidden(secrets), *(piece for piece in pieces if len(piece) >= _SHORTEST_PIECE)}
    # What holds another one first: else its rest would stand there.
    for one in sorted(hidden, key=len, reverse=True):
        text = text.replace(one, "***")
    return events.shown(text)


def _hidden(secrets: Iterable[str]) -> Iterator[str]:
    for secret in secrets:
        if secret:
            yield secret
        yield from (line for line in secret.splitlines() if len(line) >= _SHORTEST_PIECE)
