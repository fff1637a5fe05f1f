"""What a cloud says in its errors, made fit to be shown: bounded, printable, without our secrets."""

import re
from collections.abc import Iterable
from typing import Final

LONGEST_MESSAGE: Final = 200
_PEM: Final = re.compile(r"-----BEGIN.*", re.DOTALL)
_SHORTEST_SECRET: Final = 8


def shown(text: str, secrets: Iterable[str]) -> str:
    """At most 200 printable characters of `text`; where it quotes a secret, or a line of one, stars."""
    text = text[:100_000]
    for secret in secrets:
        for line in secret.splitlines():
            if len(line) >= _SHORTEST_SECRET:
                text = text.replace(line, "***")
    text = _PEM.sub("[PEM]", text)
    printable = "".join(character if character.isprintable() else " " for character in text[: 4 * LONGEST_MESSAGE])
    return " ".join(printable.split())[:LONGEST_MESSAGE]
