"""The compact forms of JOSE: parts in base64url, the first of them a header in JSON."""

import base64
import json
from collections.abc import Mapping
from typing import Any


def decoded(part: str) -> bytes:
    """Raises ValueError where it is no base64. Other characters are passed over: look at them before."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def is_terse(encoded: str, header: Mapping[str, Any]) -> bool:
    """Whether the header is all that stands in its part: of two fields of one name only one is read."""
    return len(decoded(encoded)) <= len(json.dumps(header))
