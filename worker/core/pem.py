"""Strict PEM: exactly the blocks that are expected, and nothing around them.

Libraries read past prose, quotes, NULs and a second key; what they skip would be sent on or lost. So the text is split
here, full-string, before any of them sees it. Errors never quote the text.
"""

import re
from typing import Final

from worker.core.errors import RefusedError

LONGEST_CHAIN: Final = 65_536
LONGEST_KEY: Final = 4_096
MOST_CERTIFICATES: Final = 8
_BLOCK: Final = re.compile(
    r"-----BEGIN (?P<label>[A-Z0-9 ]{1,40})-----\n"
    r"(?:[A-Za-z0-9+/]{1,76}\n)*[A-Za-z0-9+/]{1,76}={0,2}\n"
    r"-----END (?P=label)-----(?:\n|\Z)"
)
_KEY_LABELS: Final = frozenset({"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"})


def certificates_in(text: str) -> tuple[str, ...]:
    """The CERTIFICATE blocks of a chain, in order, each with a final newline.

    Reasons: `too_large`, `too_many_certs`, `pem_empty`, `pem_garbage`, `pem_label`.
    """
    if len(text) > LONGEST_CHAIN:
        raise RefusedError("too_large", f"chain: over {LONGEST_CHAIN} bytes")
    blocks = _blocks(text, "chain")
    if any(label != "CERTIFICATE" for label, _ in blocks):
        raise RefusedError("pem_label", "chain: a block that is no CERTIFICATE")
    if len(blocks) > MOST_CERTIFICATES:
        raise RefusedError("too_many_certs", f"chain: over {MOST_CERTIFICATES} certificates")
    return tuple(block for _, block in blocks)


def private_key_in(text: str) -> str:
    """The one private key block.

    Reasons: `too_large`, `key_encrypted`, `pem_empty`, `pem_garbage`, `pem_label`.
    """
    if len(text) > LONGEST_KEY:
        raise RefusedError("too_large", f"key: over {LONGEST_KEY} bytes")
    if "ENCRYPTED" in text:
        raise RefusedError("key_encrypted", "key: is encrypted")
    # openssl's ecparam, and so dehydrated, writes the curve in front of the key, which names it again.
    blocks = [block for block in _blocks(text, "key") if block[0] != "EC PARAMETERS"]
    if len(blocks) != 1:
        raise RefusedError("pem_garbage", "key: more than one block")
    label, block = blocks[0]
    if label not in _KEY_LABELS:
        raise RefusedError("pem_label", "key: a block that is no private key")
    return block


def _blocks(text: str, what: str) -> list[tuple[str, str]]:
    """Label and text of every block; blank lines between them are fine, anything else is not."""
    rest = text.removeprefix("\ufeff").replace("\r\n", "\n").strip(" \t\n") + "\n"
    if rest == "\n":
        raise RefusedError("pem_empty", f"{what}: empty")
    blocks: list[tuple[str, str]] = []
    while rest:
        found = _BLOCK.match(rest)
        if found is None:
            raise RefusedError("pem_garbage", f"{what}: something other than PEM at block {len(blocks) + 1}")
        blocks.append((found["label"], found[0].rstrip("\n") + "\n"))
        rest = rest[found.end() :].lstrip("\n")
    return blocks
