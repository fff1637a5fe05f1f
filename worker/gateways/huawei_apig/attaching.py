"""Attaching many domains: a call a chunk, and a chunk that fails halved until the bad domain stands alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count, islice
from math import inf
from typing import Final

from worker.core.deployment import Binding
from worker.core.errors import Failure, PermanentError, RotationError
from worker.core.outcome import BindingResult
from worker.core.planning import Stored
from worker.core.readback import may_be_there
from worker.gateways.base import OnResult
from worker.gateways.huawei_apig.client import ApigClient
from worker.gateways.huawei_apig.observing import Rows
from worker.gateways.huawei_apig.wire import is_about_the_certificate
from worker.gateways.together import together
from worker.in_parts import in_parts

# Refusals that may be about one of the domains. All others are about the account: halving would only multiply them.
_OF_ONE: Final = frozenset({"bad_request", "not_found", "conflict", "certificate_rejected", "forbidden"})
# Seconds, with repeats. A chunk that ends in 500 was repeated until its deadline, and each of its parts may be as bad:
# were they repeated for as long, a time slice would end before a big one has come down to single domains.
_PATIENCE_WITH_PARTS: Final = 15.0

_Chunk = Sequence[Binding]


@dataclass(frozen=True, slots=True)
class _Reach:
    """How far chunks that fail are followed up."""

    was_broken: bool = False
    """What it is a part of was repeated until its deadline, and ended in 500."""
    is_whole: bool = True
    """None was halved yet."""
    may_read: bool = True
    """What is bound is worth a look: the last one helped, or what was refused since was refused for another reason."""


@dataclass(frozen=True, slots=True)
class _Family:
    """Chunks that were one, or all of them at first."""

    chunks: Sequence[_Chunk]
    reach: _Reach = field(default_factory=_Reach)


@dataclass(frozen=True, slots=True)
class _Refused:
    chunk: _Chunk
    error: RotationError
    reach: _Reach

    @property
    def is_in_doubt(self) -> bool:
        """What is bound is to be looked at first."""
        return len(self.chunk) > 1 and may_be_there(self.error.reason) and self.reach.may_read

    @property
    def is_unclear(self) -> bool:
        """It may come of one domain, or of a gateway that is sick or an account that may not attach anything."""
        is_forbidden = self.error.reason == "forbidden" and _may_be_of_one(self.error)
        return len(self.chunk) > 1 and (is_forbidden or _is_broken(self.error))


@dataclass(slots=True)
class _Unclear:
    """Chunks that wait until it shows whether it is worth while to halve them. `chance`: from 0 to below 1."""

    size: int
    """Most domains in a chunk."""
    chance: Callable[[], float]
    waiting: list[_Refused] = field(default_factory=list)
    _probes: int = 0
    _was_accepted: bool = False

    @property
    def _depth(self) -> int:
        """So many halvings take any chunk down to single domains."""
        return (self.size - 1).bit_length()

    def cleared(self, refused: Sequence[_Refused], *, is_accepted: bool) -> Sequence[_Refused]:
        """Those to halve now. `is_accepted`: something was, of the calls that were made together with them.

        An account that was allowed one attach may attach; a gateway may have fallen sick since.
        """
        if is_accepted:
            self._probes, self._was_accepted = 0, True
        clear, waiting = list[_Refused](), list[_Refused]()
        for one in (*self.waiting, *refused):
            is_clear = is_accepted or (self._was_accepted and not _is_broken(one.error))
            (clear if is_clear else waiting).append(one)
        self.waiting = waiting
        return clear

    def probe(self) -> Sequence[_Refused]:
        """The smallest, to be halved although nothing speaks for it; none once single domains have been reached so."""
        if not self.waiting or self._probes >= self._depth:
            return []
        self._probes += 1
        one = min(self.waiting, key=lambda waiting: len(waiting.chunk))
        self.waiting.remove(one)
        return [one]

    def samples(self) -> Sequence[_Family]:
        """Single domains of all that wait, once, where the probes told nothing: bad ones often lie side by side.

        A 403 is final, and so more are asked for. What ends in 500 comes again, and others are asked for then.
        """
        if not self.waiting or self._probes > self._depth:
            return []
        self._probes = self._depth + 1
        number = sum(len(one.chunk) for one in self.waiting)
        was_broken = any(_is_broken(one.error) for one in self.waiting)
        most = min(2 * (self._depth if was_broken else self.size), number)
        chosen = {int((part + self.chance()) * number / most) for part in range(most)}
        singles, rest, places = list[_Chunk](), list[_Refused](), count()
        for one in self.waiting:
            left, alone = list[Binding](), list[Binding]()
            for each in one.chunk:
                (alone if next(places) in chosen else left).append(each)
            if len(left) > 1:
                rest.append(replace(one, chunk=left))
            else:
                alone += left  # it will not be halved: it would never be sent alone
            singles += [[each] for each in alone]
        self.waiting = rest
        return [_Family(singles, _Reach(was_broken))]


@dataclass(frozen=True, slots=True)
class Attaching:
    """Some bindings to one stored certificate; chunks and halves go together, under the gateway's limits.

    A 500 that stays may come of one domain, or of a gateway that is sick; a 403 of one domain, or of an account that
    may not attach. Calls made together tell which: where another one was accepted, the chunk is halved. Where none was,
    one chunk alone is followed down to single domains, as a probe, and then some single ones of all others are sent:
    once anything is accepted, all are followed.

    A gateway that applies a chunk in part may refuse what is bound when it is sent again: then it is asked what is
    bound, and only the rest is sent. That is a whole list: those in doubt wait until nothing else is left to be sent,
    and share it.
    """

    client: ApigClient
    to: Stored
    on_result: OnResult
    chance: Callable[[], float]
    """From 0 to below 1."""
    _results: dict[Binding, BindingResult] = field(default_factory=dict)

    async def in_chunks(self, bindings: Sequence[Binding], size: int) -> Sequence[BindingResult]:
        """One result a binding, in order. `size`: most domains in a call."""
        chunks = [bindings[start : start + size] for start in range(0, len(bindings), size)]
        families: Sequence[_Family] = [_Family(chunks)]
        in_doubt, unclear = list[_Refused](), _Unclear(size, self.chance)
        while families or in_doubt:
            if not families:
                families, in_doubt = await self._looked_into(in_doubt), []
            refused = await self._sent(families)
            is_accepted = len(refused) < sum(len(family.chunks) for family in families)
            in_doubt += [one for one in refused if one.is_in_doubt]
            clear = [one for one in refused if not (one.is_in_doubt or one.is_unclear)]
            clear += unclear.cleared([one for one in refused if one.is_unclear], is_accepted=is_accepted)
            families = await in_parts(clear, self._halved) or list(self._halved(unclear.probe())) or unclear.samples()
        for one in unclear.waiting:
            self._tell(one.chunk, Failure.of(one.error))
        return [self._results[one] for one in bindings]

    async def _sent(self, families: Sequence[_Family]) -> Sequence[_Refused]:
        calls = ((chunk, family.reach) for family in families for chunk in family.chunks)
        errors = iter(await together(self._attach(chunk, reach) for chunk, reach in calls))
        return [one for family in families for one in _refused(family, list(islice(errors, len(family.chunks))))]

    async def _attach(self, chunk: _Chunk, reach: _Reach) -> RotationError | None:
        patience = _PATIENCE_WITH_PARTS if reach.was_broken else inf
        try:
            await self.client.attach(self.to.certificate_id, chunk, patience)
        except RotationError as error:
            return error
        self._tell(chunk, None)
        return None

    async def _looked_into(self, in_doubt: Sequence[_Refused]) -> list[_Family]:
        try:
            rows = Rows(await self.client.bound_domains(self.to.certificate_id))
        except RotationError:
            rows = Rows()  # the next refusals tell what is wrong
        return await in_parts(in_doubt, lambda part: chain.from_iterable(self._rest(one, rows) for one in part))

    def _rest(self, refused: _Refused, rows: Rows) -> Sequence[_Family]:
        """What is not bound yet. Of what was halved before, one may be bad: it is halved on."""
        there = [one for one in refused.chunk if _is_bound(one, rows)]
        if not there:
            return list(self._halved([refused]))
        self._tell(there, None)
        known = frozenset(there)
        left = [one for one in refused.chunk if one not in known]
        parts = [left] if refused.reach.is_whole or len(left) == 1 else _halves(left)
        return [_Family(parts, replace(refused.reach, is_whole=False))] if left else []

    def _halved(self, refused: Sequence[_Refused]) -> Iterator[_Family]:
        """Those where that may help; of the others it is told how they ended."""
        for one in refused:
            chunk, error, reach, is_broken = one.chunk, one.error, one.reach, _is_broken(one.error)
            if len(chunk) == 1 or not (_may_be_of_one(error) or is_broken):
                self._tell(chunk, Failure.of(error))
                continue
            may_read = not may_be_there(error.reason)
            yield _Family(_halves(chunk), _Reach(reach.was_broken or is_broken, is_whole=False, may_read=may_read))

    def _tell(self, chunk: _Chunk, failure: Failure | None) -> None:
        for one in chunk:
            result = BindingResult(one, "attached" if failure is None else "failed", failure)
            self._results[one] = result
            self.on_result(result)


def _refused(family: _Family, errors: Sequence[RotationError | None]) -> Iterator[_Refused]:
    told = zip(family.chunks, errors, strict=True)
    return (_Refused(chunk, error, family.reach) for chunk, error in told if error is not None)


def _is_bound(wanted: Binding, rows: Rows) -> bool:
    """As it shall be."""
    flags = {row.verified_client_certificate_enabled for row in rows.about(wanted)}
    return bool(flags) and (wanted.client_verification is None or flags <= {None, wanted.client_verification})


def _halves(chunk: _Chunk) -> Sequence[_Chunk]:
    middle = len(chunk) // 2
    return chunk[:middle], chunk[middle:]


def _may_be_of_one(error: RotationError) -> bool:
    return isinstance(error, PermanentError) and error.reason in _OF_ONE and not is_about_the_certificate(error.code)


def _is_broken(error: RotationError) -> bool:
    """Ended in 500. 502 to 504, a lost connection and a throttle are no domain's doing."""
    return error.reason == "gateway_unavailable" and error.status == 500  # noqa: PLR2004 - HTTP's own
