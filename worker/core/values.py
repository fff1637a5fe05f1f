"""Values of which a certificate may have ten thousands."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

__all__ = ["value"]

if TYPE_CHECKING:
    # mypy takes it for what it says, and sees to it that none is ever changed.
    from dataclasses import dataclass as value
else:

    def value(*, frozen: bool, slots: bool) -> Any:
        """A frozen dataclass that nothing guards at run time: making one that is guarded takes five times as long."""
        return dataclass(slots=slots, unsafe_hash=frozen)
