"""One gateway account's budget: windows, holds, a cap on calls under way; shared in turns by the rotations."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final

from worker.effort import Effort, current_effort
from worker.limits.allowance import Allowance
from worker.limits.clock import now as _now
from worker.limits.concurrency import Concurrency
from worker.limits.guess import Guess
from worker.limits.history import History
from worker.limits.queue import SHORT_JOB, TurnQueue, is_long
from worker.limits.usage import Usage
from worker.limits.windows import Places, Window, lowest

LONGEST_WAIT: Final = 600.0
"""Seconds for which a hold is waited for."""
_RESOLUTION: Final = 0.001
"""Seconds between two looks at the clock, at least."""
_MOST_TOLD: Final = 8
"""Spans that a cloud may have told windows for, at one time: what it told longest ago is forgotten."""


class HeldError(Exception):
    """The cloud wants to be left alone for so many seconds that nobody shall wait here."""

    def __init__(self, seconds: float) -> None:
        super().__init__("held for long")
        self.seconds = seconds


@dataclass(slots=True)
class Turn:
    """One call's turn."""

    began: float = 0.0
    """When it came, of the loop's clock."""
    waited: float = 0.0
    """Seconds until it came."""
    lasted: float = 0.0
    """Seconds from then on, once it is over."""
    sent_at: float | None = None
    """When the call itself began; None while nothing was sent: a turn that was not used costs nothing."""
    is_busy: bool = False
    """Set by whoever hears that the far end has too much to do."""
    is_refused: bool = False
    """Set by whoever hears that there were too many calls."""
    accepted: str | None = None
    """Set by whoever hears that the call did what it was for: which kind of call it was."""
    left: tuple[int, float] | None = None
    """Set by whoever hears how many calls are left, and for how many seconds."""
    whole: int | None = None
    """Set by whoever hears besides how many a whole window has."""

    def sending(self) -> None:
        """Called right before: what was fetched or waited for until then tells nothing of how busy the cloud is."""
        self.sent_at = _now()


@dataclass(slots=True)
class Slot:
    """A call's place under the limits, as a block. A class, because it is entered for every call."""

    limits: "Limits"
    turn: Turn = field(default_factory=Turn)

    async def __aenter__(self) -> Turn:
        asked = self.turn.began = _now()
        if not self.limits.enter_at_once(asked):
            self.turn.began = await self.limits.enter()
            self.turn.waited = self.turn.began - asked
        return self.turn

    async def __aexit__(self, *_error: object) -> None:
        self.limits.leave(self.turn)


class Limits:
    """Kept by construction, at the far end too, whatever the network delays. Seconds of the loop's clock.

    Rotations take turns, call by call; urgent ones go before all others. A rotation with many calls is paced evenly, so
    that others need not wait for a whole window that it has filled.
    """

    def __init__(self, windows: Sequence[Window], concurrency: int) -> None:
        self._most = lowest(windows)
        self._places = [Places(Window(calls, seconds), 0) for seconds, calls in self._most.items()]
        self._concurrency = Concurrency(concurrency)
        self._queue = TurnQueue()
        self._allowance = Allowance()
        self._history = History()
        self._guess = Guess(self._history)
        self._under_way = 0
        self._held_until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._reserve()

    def _reserve(self) -> None:
        """Which places are kept for short jobs follows from all windows."""
        slowest = max((places.window.interval for places in self._places), default=0.0)
        for places in self._places:
            places.keep_to(places.window, places.window.reserve(slowest))

    @property
    def held_for(self) -> float:
        """Seconds until anything is sent again: the cloud wants that, or says that nothing is left until then."""
        now = _now()
        return max(self._held_until - now, self._allowance.empty_until(now) - now, 0.0)

    @property
    def windows(self) -> Sequence[Window]:
        """Set and learned."""
        return tuple(places.window for places in self._places)

    def usage(self) -> Usage:
        """How much of it all is used now."""
        now = _now()
        used = [one.used(now) for one in self._places]
        used += [*self._guess.used(now, self._under_way), *self._allowance.used(now, self._under_way)]
        allowed, most = self._concurrency.allowed, self._concurrency.most
        return Usage(used, self._under_way, allowed, most, self._queue.size)

    def slot(self) -> "Slot":
        """One call's turn: `async with limits.slot() as turn`, and send it inside the block.

        A waiter that is cancelled costs nothing.
        """
        return Slot(self)

    def enter_at_once(self, now: float) -> bool:
        """Whether there was a free place, and nobody before. Most calls find one: they pay for no queue."""
        is_free = not self._queue and self._is_open(now) and self._has_room(now, is_long=is_long(current_effort()))
        if is_free:
            self._let_in(now)
        return is_free

    async def enter(self) -> float:
        """Waits for a turn; when it came. Raises HeldError instead of waiting for very long."""
        effort = current_effort()
        self._check_patience()
        while True:
            with effort.queueing(self._look_anew):
                began = await self._turn_of(effort)
            if self._held_until <= _now():
                return began
            self._unused(began)  # a hold came between the turn and whoever waited for it
            self._check_patience()

    def _check_patience(self) -> None:
        if self.held_for > LONGEST_WAIT:
            raise HeldError(self.held_for)

    def hold(self, seconds: float) -> None:
        """Nothing is sent for so long; an earlier hold that lasts longer stays. Nobody waits for a very long one."""
        self._held_until = max(self._held_until, _now() + seconds)
        self._dismiss()

    def _dismiss(self) -> None:
        if self._queue and self.held_for > LONGEST_WAIT:
            for turn in self._queue.clear():
                if not turn.done():
                    turn.set_exception(HeldError(self.held_for))

    def learn(self, window: Window) -> Window | None:
        """Keeps to a window that the cloud has told. What is kept to from now on, if that is new.

        Never to more than was set for that span: others may share the account. Nor to more than was told a span ago or
        less: two of the cloud's policies may have the same span. What was guessed before is forgotten.
        """
        now = _now()
        self._guess.forget()
        calls = min(window.calls, self._most.get(window.seconds, window.calls))
        places = self._of(window.seconds)
        if places is None:
            self._places.append(self._remembering(window, now))
            self._forget()
        elif places.disprove(calls, now):
            places.keep_to(Window(calls, window.seconds), 0)
        else:
            return None
        self._reserve()
        return Window(calls, window.seconds)

    def guess(self, hold: float, *, is_told: bool = True) -> Window | None:
        """The cloud refuses and tells no window; nothing is sent for so long. How fast it is called from now on."""
        return self._guess.refused(_now(), hold, is_told=is_told)

    def change(self, windows: Sequence[Window], concurrency: int) -> None:
        """Others are set from now on. What was sent counts on, and so does what the cloud has told."""
        before, self._most = self._most, lowest(windows)
        for seconds, calls in self._most.items():
            self._set(Window(calls, seconds), before.get(seconds))
        gone = {Window(calls, seconds) for seconds, calls in before.items() if seconds not in self._most}
        self._places = [one for one in self._places if one.window not in gone]
        self._concurrency.change(concurrency)
        self._forget()
        self._reserve()
        self._admit()

    def _set(self, window: Window, before: int | None) -> None:
        """`before`: how many calls were set for that span. What is kept to is less where the cloud has told less."""
        places = self._of(window.seconds)
        if places is None:
            self._places.append(self._remembering(window, _now()))
        elif places.window.calls == before or window.calls < places.window.calls:
            places.keep_to(window, 0)

    def _of(self, seconds: float) -> Places | None:
        return next((one for one in self._places if one.window.seconds == seconds), None)

    def _remembering(self, window: Window, now: float) -> Places:
        """A window that counts what was sent before it was told; as late as it may be, where that is forgotten."""
        longest = max(self._places, key=lambda one: one.window.seconds, default=None)
        since = inf if longest is None else now - longest.window.seconds
        counted = [] if longest is None else longest.ended_at(now)
        ended_at = [*self._history.before(since), *counted]
        places = Places(window, 0, self._under_way, told_at=now)
        places.remember(ended_at, self._history.sent - len(ended_at), min([*ended_at[:1], since, now]))
        return places

    def _forget(self) -> None:
        told = [one for one in self._places if one.window.seconds not in self._most]
        if len(told) > _MOST_TOLD:
            self._places.remove(min(told, key=lambda one: one.told_at))

    def inherit(self, idle: float = 0.0) -> None:
        """Another worker was at this account until `idle` seconds ago, and nobody knows what it has sent."""
        for places in self._places:
            places.inherit(_now(), idle)

    def seconds_for(self, calls: int, longest: int | None = None) -> float:
        """How long so many calls take, if nobody else sends any. `longest`: at most so many are of one rotation."""
        if calls <= 0:
            return self.held_for
        now, effort = _now(), current_effort()
        begins = max(self._held_until, now)
        heard_at = now if begins == now else min(now, self._history.latest_at)  # nothing new while it is held
        is_paced = is_long(effort) or (min(calls, longest or calls) >= SHORT_JOB and not effort.urgent)
        outlooks = (places.outlook(begins, is_long=is_paced) for places in self._places)
        by_windows = max((one.sent_at(calls) for one in outlooks), default=begins)
        by_latency = begins + self._concurrency.seconds_for(calls)
        by_allowance = self._allowance.sent_at(calls, begins, heard_at, self._under_way, is_long=is_paced)
        return max(by_windows, by_latency, by_allowance, self._guess.sent_at(calls, begins)) - now

    async def _turn_of(self, effort: Effort) -> float:
        turn = self._queue.add(effort)
        self._admit()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                if turn.exception() is None:
                    self._unused(turn.result())  # it came together with the cancellation
            else:
                self._queue.leave(effort, turn)
            raise

    def _look_anew(self) -> None:
        """Somebody who waits is urgent now: before those who come urgent later, though there is no room yet."""
        self._queue.promote()
        self._admit()

    def _admit(self) -> None:
        """Lets in everybody whose turn has come, and sets the timer for the next."""
        now = _now()
        while self._is_open(now) and (turn := self._next(now)) is not None:
            if turn.cancelled():
                continue  # whoever waited gave up a moment ago, and has not left the queue yet
            self._let_in(now)
            turn.set_result(now)
        self._set_timer(now)

    def _let_in(self, now: float) -> None:
        self._under_way += 1
        self._guess.take(now)
        for places in self._places:
            places.take(now)

    def _is_open(self, now: float) -> bool:
        is_free = self._under_way < self._concurrency.allowed
        return is_free and now >= self._held_until and now >= self._guess.due_at

    def _next(self, now: float) -> asyncio.Future[float] | None:
        # No room for a short job is none for a long one: thousands may wait, and none of them is looked at.
        is_free = bool(self._queue) and self._has_room(now, is_long=False)
        return self._queue.next(has_room_for_long=self._has_room(now, is_long=True)) if is_free else None

    def _has_room(self, now: float, *, is_long: bool) -> bool:
        # A loop, because it is asked for every call: a generator takes longer than all of its windows.
        for places in self._places:
            if not places.has_room(now, is_long=is_long):
                return False
        return self._allowance.has_room(now, self._under_way, is_long=is_long)

    def _set_timer(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._queue or self._under_way >= self._concurrency.allowed:
            return  # a call under way has to end first, and its end admits
        is_long = all(map(self._queue.is_held_back, self._queue.efforts()))  # a short job's room comes first
        if (at := self._opens_at(now, is_long=is_long)) is not None:
            # Not sooner: uvloop's timers know whole milliseconds, and would come early again and again.
            self._timer = asyncio.get_running_loop().call_at(max(at, now + _RESOLUTION), self._admit)

    def _opens_at(self, now: float, *, is_long: bool) -> float | None:
        """When somebody may send, by time alone; None while that depends on calls under way."""
        rooms = [places.room_at(now, is_long=is_long) for places in self._places]
        if None in rooms:
            return None
        allowed_at = self._allowance.room_at(now, self._under_way, is_long=is_long)
        return max([self._held_until, self._guess.due_at, allowed_at, *(one for one in rooms if one is not None)])

    def leave(self, turn: Turn) -> None:
        """The turn is over."""
        now = _now()
        turn.lasted = now - turn.began
        if turn.sent_at is None:
            return self._unused(turn.began)
        # First of all given back: whatever is learned of it, the place must not be lost.
        self._under_way -= 1
        self._history.ended(now, is_refused=turn.is_refused)
        for places in self._places:
            places.ended(now)
        self._concurrency.answered(turn.sent_at, now, kind=turn.accepted, is_busy=turn.is_busy)
        if not turn.is_refused and self._guess.ended(turn.sent_at):
            self._outgrow()
        if turn.left is None:
            self._allowance.untold()
        else:
            left, seconds = turn.left
            self._allowance.told(left, now + seconds, now, turn.whole)
        self._dismiss()
        return self._admit() if self._queue else None

    def _outgrow(self) -> None:
        """A guess that has become looser than all that is set says nothing any more."""
        fastest = min((places.window.interval for places in self._places), default=0.0)
        if self._guess.window is not None and self._guess.window.interval < fastest:
            self._guess.forget()

    def _unused(self, began: float) -> None:
        self._under_way -= 1
        self._guess.unused(began)
        for places in self._places:
            places.unused()
        self._admit()
