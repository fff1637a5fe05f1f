"""What the embedded engine has given out and not heard of again."""

from dataclasses import dataclass, field

from worker.broker.base import BrokerLostError


@dataclass(slots=True)
class GivenOut:
    """What is delivered and not settled: memory only, so that a crash puts it back."""

    limit: int
    numbers: set[int] = field(default_factory=set)
    was_standby: bool = False
    """Another worker had the lock when this one came."""
    begins_turn: bool = True
    """Nothing was given out yet."""
    is_over: bool = False
    """Nothing is settled any more: another consumer may have been given it."""

    @property
    def room(self) -> int:
        return self.limit - len(self.numbers)

    def check(self) -> None:
        if self.is_over:
            raise BrokerLostError("the consumer has stopped: what it had in hand comes again")
