"""When a certificate may be rotated, as its settings say it."""

from collections.abc import Iterator, Sequence

from pydantic import Field

from worker.core.window import parse_window
from worker.settings.base import Model


class Timed(Model):
    """Of `[certificates.NAME]`."""

    window: str | tuple[str, ...] = ()
    """When it may be rotated, where nothing is urgent; several: in any of them. None: always."""
    near_expiry_seconds: float = Field(default=259_200, ge=0, allow_inf_nan=False)
    """What is served and expires within that time is no longer kept waiting."""
    spread_seconds: float = Field(default=0, ge=0, le=86_400)
    """Over how long a time renewals that come together are spread."""

    @property
    def windows(self) -> tuple[str, ...]:
        return (self.window,) if isinstance(self.window, str) else self.window


def window_problems(place: str, certificate: Timed, steps: Sequence[float]) -> Iterator[str]:
    """`steps`: for how long a renewal that waits is asleep, at least, and at the most, in one go."""
    is_one = isinstance(certificate.window, str)
    for number, text in enumerate(certificate.windows):
        key = f"{place}.window" if is_one else f"{place}.window.{number}"
        try:
            length = parse_window(text).length.total_seconds()
        except ValueError as error:
            yield f"{key}: {error}"
        else:
            if length < 2 * min(steps):
                yield f"{key}: shorter than twice the first of retry.parking_seconds: it might be slept through"
    if certificate.windows and certificate.near_expiry_seconds <= max(steps):
        told = "not longer than the last of retry.parking_seconds: what is served might expire in its sleep"
        yield f"{place}.near_expiry_seconds: {told}"
