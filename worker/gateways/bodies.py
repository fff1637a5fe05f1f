"""JSON bodies: secrets revealed only as they are sent, answers read strictly, refusals as far as they can be read."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from worker.core.secret import Secret
from worker.gateways.exchange import AmbiguousError


def serialised(body: Mapping[str, object]) -> bytes:
    """The one place where the secrets of a body are revealed."""
    return json.dumps(body, default=_revealed, separators=(",", ":")).encode()


def _revealed(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"a request body cannot hold a {type(value).__name__}")


def secrets_in(body: Mapping[str, object] | None) -> Iterator[str]:
    """What an answer must not be shown with."""
    yield from (value.reveal() for value in (body or {}).values() if isinstance(value, Secret))


def parsed(content: bytes, status: int) -> Any:
    """The JSON of an answer that says success, None for an empty one: anything else leaves the effect in doubt."""
    if not content:
        return None
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError):
        raise AmbiguousError("gateway_unavailable", "the answer is no valid JSON", status=status) from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)


def lenient(content: bytes) -> object:
    """The body of a refusal, as far as it is one: JSON or nothing."""
    try:
        return json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
