"""What the TLS listeners do wrong when they are told to: for one name or all, at one address of theirs or all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final, Literal, assert_never

from worker.sandbox.ca import Authority

FlawKind = Literal["old", "other", "leaf_only", "no_client_verification", "no_handshake"]
FLAW: Final[Mapping[str, str]] = {
    "kind": "old (go on as now, whatever is bound), other, leaf_only, no_client_verification or no_handshake",
    "name": "only for this name as clients ask for it; every name where nothing is said",
    "place": "only for this APIG instance or Octavia listener, by its id",
    "address": "only at this address, where the listeners have several",
    "times": "for so many handshakes; where nothing is said, until it is taken back",
}
"""What a flaw may say, in words."""
_END: Final = "-----END CERTIFICATE-----\n"
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Served:
    """What a TLS listener serves for a name."""

    chain_pem: str
    private_key_pem: str = field(repr=False)
    client_ca: str | None = None


@dataclass(slots=True)
class Flaw:
    """What goes wrong at handshakes; nothing of it shows in the clouds' answers."""

    kind: FlawKind
    name: str = ""
    place: str = ""
    address: str = ""
    times: int | None = None
    shown: int = field(default=0, init=False)
    """At so many handshakes until now."""
    held: Mapping[Key, Served] = field(default_factory=dict, init=False, repr=False)
    """What was served when it began."""

    def told(self) -> Mapping[str, object]:
        return {**{key: getattr(self, key) for key in FLAW}, "shown": self.shown}

    def concerns(self, key: Key, name: str, address: str) -> bool:
        """Whether it shows at a handshake for `name`, for which `key` is served."""
        is_there = self.place in ("", key[0]) and self.address in ("", address)
        return is_there and self.name in ("", name) and (self.times is None or self.shown < self.times)

    def spoilt(self, key: Key, served: Served) -> Served | None:
        """What is served instead; None: nothing."""
        self.shown += 1
        match self.kind:
            case "old":
                return self.held.get(key, served)
            case "other":
                return _stranger()
            case "leaf_only":
                return replace(served, chain_pem=served.chain_pem.partition(_END)[0] + _END)
            case "no_client_verification":
                return replace(served, client_ca=None)
            case "no_handshake":
                return None
            case _:
                assert_never(self.kind)


def spoilt(flaws: Sequence[Flaw], key: Key, served: Served, name: str, address: str) -> Served | None:
    """What is served after all flaws that concern this handshake."""
    now: Served | None = served
    for flaw in flaws:
        if now is not None and flaw.concerns(key, name, address):
            now = flaw.spoilt(key, now)
    return now


@cache
def _stranger() -> Served:
    """Somebody else's: for another name, and from another CA."""
    issued = Authority.create("Stranger").issue(["stranger.example.net"])
    return Served(issued.chain_pem, issued.private_key_pem)
