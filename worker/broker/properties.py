"""AMQP properties that the library cannot read: they must cost their own message alone."""

import struct
from typing import Final

from pamqp.commands import Basic
from pamqp.header import ContentHeader

_UNREADABLE: Final = (ValueError, ArithmeticError, LookupError, OSError, RecursionError, TypeError, struct.error)
_FIXED_PART: Final = 12
_as_the_library_does: Final = ContentHeader.unmarshal


def tolerate_bad_properties() -> None:
    """From now on a message whose properties cannot be read has none, in the whole process; again changes nothing.

    RabbitMQ passes on what the library cannot decode: a `timestamp` in nanoseconds, text that is not UTF-8. The library
    raises in its reader, which ends the connection, at every delivery again, until the broker has given up all that was
    in hand with it. Its reader makes its header frames itself, so there is no other place to put this.
    """
    ContentHeader.unmarshal = _unmarshal  # type: ignore[method-assign]


def _unmarshal(self: ContentHeader, data: bytes) -> None:
    try:
        _as_the_library_does(self, data)
        _check_flags(data)
    except _UNREADABLE:
        if len(data) < _FIXED_PART:  # not even a header: the frames themselves are broken
            raise
        # Headers come early, and may have been read: the broker's own are among them.
        self.properties = Basic.Properties(headers=self.properties.headers)


def _check_flags(data: bytes) -> None:
    """All properties fit one word of flags. The broker ignores that another is promised, the library reads it: so a
    producer could be verified by one user name and known by another.
    """
    if data[_FIXED_PART + 1] & 1:
        raise ValueError("more flags than there are properties")
