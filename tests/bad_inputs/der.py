"""Just enough DER to build what no library agrees to build."""

import base64
import textwrap
from collections.abc import Sequence
from typing import Final

SEQUENCE: Final = 0x30
SET: Final = 0x31
INTEGER: Final = 0x02
BITS: Final = 0x03
OCTETS: Final = 0x04
OID: Final = 0x06
NULL: Final = b"\x05\x00"


def tlv(tag: int, content: bytes) -> bytes:
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def sequence(*parts: bytes) -> bytes:
    return tlv(SEQUENCE, b"".join(parts))


def integer(value: int) -> bytes:
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def octets(content: bytes) -> bytes:
    return tlv(OCTETS, content)


def bits(content: bytes) -> bytes:
    return tlv(BITS, b"\0" + content)


def oid(dotted: str) -> bytes:
    first, second, *rest = (int(part) for part in dotted.split("."))
    content = bytes([40 * first + second])
    for arc in rest:
        groups = [arc >> shift & 0x7F for shift in range(0, max(arc.bit_length(), 1), 7)][::-1]
        content += bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])
    return tlv(OID, content)


def content_of(value: bytes) -> bytes:
    """What is inside one value."""
    if value[1] < 0x80:
        return value[2:]
    return value[2 + (value[1] & 0x7F) :]


def parts_of(value: bytes) -> Sequence[bytes]:
    """The values inside one value."""
    rest, parts = content_of(value), []
    while rest:
        size = _size(rest)
        parts.append(rest[:size])
        rest = rest[size:]
    return parts


def _size(data: bytes) -> int:
    if data[1] < 0x80:
        return 2 + data[1]
    count = data[1] & 0x7F
    return 2 + count + int.from_bytes(data[2 : 2 + count], "big")


def pem(label: str, der: bytes) -> str:
    lines = textwrap.wrap(base64.b64encode(der).decode(), 64)
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])
