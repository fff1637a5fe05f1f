"""JSON bodies: secrets revealed only as they are sent, answers read strictly, refusals as far as they can be read."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from worker.core.errors import unchained
from worker.core.secret import Secret
from worker.core.unrepeated import without_repeats
from worker.gateways.exchange import AmbiguousError


class Body(BaseModel):
    """What a cloud answers: lenient to what it adds, strict about what we use."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


def _seconds(value: object) -> object:
    """Times come with and without fractions; certificates know whole seconds."""
    if not isinstance(value, str) or not value:
        return None
    at = datetime.fromisoformat(value.strip()).replace(microsecond=0)
    try:
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("before the first year, or after the last one") from None


Time = Annotated[datetime | None, BeforeValidator(_seconds)]
"""In UTC, of whole seconds; None where none is told."""

M = TypeVar("M", bound=BaseModel)


@unchained
def read_as(model: type[M], body: Any) -> M:
    """An answer of another shape leaves in doubt what was done."""
    try:
        return model.model_validate(body)
    except (ValidationError, ValueError):
        raise AmbiguousError("gateway_unavailable", "the answer is not of the documented form") from None


def serialised(body: Mapping[str, object]) -> bytes:
    """The one place where the secrets of a body are revealed."""
    return _ENCODER.encode(body).encode()


def _revealed(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"a request body cannot hold a {type(value).__name__}")


_ENCODER: Final = json.JSONEncoder(default=_revealed, separators=(",", ":"))


def secrets_in(body: Mapping[str, object] | None) -> Iterator[str]:
    """What an answer must not be shown with."""
    yield from (value.reveal() for value in (body or {}).values() if isinstance(value, Secret))


@unchained
def parsed(content: bytes, status: int) -> Any:
    """The JSON of an answer that says success, None for an empty one: anything else leaves the effect in doubt."""
    if not content:
        return None
    try:
        return _DECODER.decode(content.decode("utf-8"))
    except (ValueError, RecursionError):
        raise AmbiguousError("gateway_unavailable", "the answer is no valid JSON", status=status) from None


_DECODER: Final = json.JSONDecoder(object_pairs_hook=without_repeats)


def lenient(content: bytes) -> object:
    """The body of a refusal, as far as it is one: JSON or nothing."""
    try:
        return json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
