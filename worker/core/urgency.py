"""What an urgent renewal may do, and must not do, that holds for no ordinary one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final


@dataclass(frozen=True, slots=True)
class Urgency:
    """Of one renewal; it goes with it from its message to its plans."""

    undo_until: datetime | None = None
    """A newer certificate that was issued until then may be replaced too."""
    stored_after: datetime | None = None
    """What was stored until then is replaced although its date alone would let it pass for the renewed one."""
    is_key_exposed: bool = False
    """Strangers may have the key of what was there before: nothing goes back to it."""

    @property
    def is_urgent(self) -> bool:
        """Each of them tells what it may be taken for no longer."""
        return self.stored_after is not None


ORDINARY: Final = Urgency()
