"""What all settings are made of."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WrapValidator

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
"""An id of a cloud object: it goes into URLs."""
Uuid = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]

VAULT_PATH: Final = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*(?:/[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)*"
VaultPath = Annotated[str, StringConstraints(pattern=rf"^{VAULT_PATH}$")]
"""Of a mount or a secret: it goes into URLs, and nothing in it can leave its place."""


def _count_or_share(value: Any, checked: Callable[[Any], float]) -> float:
    """A whole number stays one: 1 is one binding, 1.0 are all of them."""
    number = checked(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if number > 1:
        raise ValueError("a share is 1.0 at most; a number of bindings has no point")
    return number


Wave = Annotated[float, Field(gt=0, allow_inf_nan=False), WrapValidator(_count_or_share)]


class Model(BaseModel):
    """Frozen, without unknown keys, and silent about its input in errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)


class TokenAuth(Model):
    kind: Literal["token"]
    token_file: Path
    """A file with a token that somebody else keeps fresh."""
