"""A secret is a type of its own: it prints as stars, does not pickle, and is revealed only where it is sent."""

import hmac
from typing import Final, Never

_STARS: Final = "**********"


class Secret:
    """Text that must not be shown. `reveal()` belongs in the one expression that sends or stores it."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        return self.__text

    def __repr__(self) -> str:
        return f"Secret({_STARS})"

    def __str__(self) -> str:
        return _STARS

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self.__text.encode(), other.reveal().encode())

    def __hash__(self) -> int:
        return hash(Secret)

    def __reduce__(self) -> Never:
        raise TypeError("a Secret is not written anywhere")
