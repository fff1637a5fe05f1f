"""How fast a cloud is called that refuses calls and does not say how many it takes: guessed from what it took."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from worker.limits.history import History
from worker.limits.usage import HOUR, MINUTE, Used
from worker.limits.windows import Window

LONGEST_GUESSED: Final = 600.0
"""Seconds: of what came longer before a refusal nothing is concluded. Who holds for longer means no window by that."""
_LEAST: Final = 5
"""Calls, taken before a refusal, from which something is concluded: fewer may have found what others had left over."""
_SLOWEST: Final = 1.0
"""Seconds from call to call: no guess is slower where the cloud did not even say for how long to wait. Then that time
is our own, doubled with each refusal, and it may have been one bad moment."""
_BELOW: Final = 0.95
"""So much of what was taken is asked for: what may have been chance is not tried to the last call."""
_CUT: Final = 0.5, 0.9
"""Refused again, the pace becomes no less and no more than such parts of itself."""
_STEP: Final = 0.2, 0.005
"""By so much it is loosened at first; half of that after each refusal of calls that kept to it, but never less."""
_PERIOD: Final = 10.0, 60.0
"""Seconds for which calls have to be taken at the full pace before it is loosened: its span, within these. They
need not be in a row: an account where only small rotations run would be slow for ever."""
_FEWEST: Final = 5
"""Calls, however few such a time has."""
_FULL: Final = 0.9
_FEW: Final = 10
"""Calls a minute: a pace that allows fewer is told by the hour."""
_LATE: Final = 0.5, 0.02
"""Of the time between two calls, and seconds: so much that a timer was late is made up for."""


@dataclass(slots=True)
class Guess:
    """A pace, kept to by every call alike: who sends evenly is within any window of that rate, whatever its span.

    What was taken up to a refusal, in the time until calls may be taken again, is what a window of that time takes.
    Where the next call is refused too, that time was longer. Seconds of the loop's clock.
    """

    history: History
    window: Window | None = None
    """None while there is no reason to guess."""
    due_at: float = 0.0
    """When the next call is."""
    _turn_at: float = 0.0
    """When the last turn came."""
    _due_before: float = 0.0
    """When that was due."""
    _made_at: float = 0.0
    _is_tried: bool = False
    """Whether a call was taken since it was made."""
    _is_found: bool = False
    """Whether a call that kept to it, or to one before, was ever taken."""
    _step: float = _STEP[0]
    _at_pace: int = 0
    """Turns that came when they were due, since it was made or loosened: nothing but it was waited for."""
    _taken: int = 0
    """Calls since then."""

    def refused(self, now: float, hold: float, *, is_told: bool = True) -> Window | None:
        """A call was refused, and nothing is sent for so long. What is kept to from now on, if enough was taken.

        `is_told`: by the cloud.
        """
        if hold > LONGEST_GUESSED or not self.history.taken_at:
            return None
        if self._is_tried:
            self._step = max(self._step / 2, _STEP[1])
        if self.window is not None and self._is_found:
            self.window = self._tightened(self.window, now)
        else:
            self.window = self._first(now, now + hold) or self.window
        if self.window is not None and not is_told:
            self.window = _bounded(self.window)
        self._made_at, self._is_tried = now, False
        self._at_pace = self._taken = 0
        return self.window

    def _first(self, now: float, until: float) -> Window | None:
        """The calls up to now that were fastest: those before were slower for other reasons."""
        recent = [at for at in self.history.taken_at if now - at <= LONGEST_GUESSED]
        begins = recent[: max(len(recent) - _LEAST + 1, 0)]
        spans = (Window(len(recent) - number, until - at) for number, at in enumerate(begins) if at < until)
        fastest = min(spans, key=lambda span: span.interval, default=None)
        return None if fastest is None else replace(fastest, seconds=fastest.seconds / _BELOW)

    def _tightened(self, window: Window, now: float) -> Window:
        least, most = _CUT
        taken = self.history.taken_since(now - window.seconds)
        return _faster(window, min(max(_BELOW * taken / window.calls, least), most))

    def ended(self, sent_at: float) -> bool:
        """A call ended that was not refused. Whether the pace is loosened: enough kept to it, and none was refused."""
        if self.window is None or sent_at < self._made_at:
            return False
        self._is_tried = self._is_found = True
        self._taken += 1
        is_enough = min(self._taken, self._at_pace) >= _enough(self.window)
        if is_enough:
            self._loosen(self.window)
        return is_enough

    def _loosen(self, window: Window) -> None:
        self.window = _faster(window, 1 + self._step)
        self._at_pace = self._taken = 0

    def take(self, now: float) -> None:
        """A call's turn has come. One that was late does not make those behind it come in a heap."""
        if self.window is not None:
            interval, (part, most) = self.window.interval, _LATE
            made_up = min(interval * part, most)
            self._at_pace += now - self.due_at <= max(interval * (1 - _FULL), made_up)
            self._turn_at, self._due_before = now, self.due_at
            self.due_at = max(self.due_at, now - made_up) + interval

    def unused(self, began: float) -> None:
        """The turn that came then was not used. Where others had theirs since, they went by it, and it is lost."""
        if self.window is not None and began == self._turn_at:
            self.due_at = self._due_before

    def sent_at(self, calls: int, begins: float) -> float:
        """When the last of so many calls is sent."""
        return begins if self.window is None else max(self.due_at, begins) + (calls - 1) * self.window.interval

    def used(self, now: float, under_way: int) -> Iterator[Used]:
        """The pace as calls a minute, or an hour where that is very few: its own span changes with every step."""
        if self.window is not None:
            seconds = MINUTE if self.window.interval * _FEW <= MINUTE else HOUR
            calls = max(round(seconds / self.window.interval), 1)
            yield Used(seconds, calls, min(self.history.taken_since(now - seconds) + under_way, calls), "guessed")

    def forget(self) -> None:
        """Something better is known."""
        self.window, self.due_at, self._step = None, 0.0, _STEP[0]
        self._is_tried = self._is_found = False


def _faster(window: Window, factor: float) -> Window:
    return replace(window, seconds=window.seconds / factor)


def _bounded(window: Window) -> Window:
    return replace(window, seconds=min(window.seconds, window.calls * _SLOWEST))


def _enough(window: Window) -> int:
    """Calls at its full pace, after which it is loosened."""
    shortest, longest = _PERIOD
    return max(round(min(max(window.seconds, shortest), longest) / window.interval), _FEWEST)
