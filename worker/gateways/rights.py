"""Trying the rights at a cloud: each by a call that cannot have an effect, of which only the refusal counts."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from worker.core.errors import RotationError
from worker.gateways.base import Right
from worker.gateways.transport import Answer, Request, path_of

Send = Callable[[Request], Awaitable[Answer]]
_ACCEPTED: Final = frozenset({200, 201, 202, 204})
# Who may not is told so before anybody looks at what is asked for.
_LOOKED_AT: Final = frozenset({400, 404, 409, 422})
_REFUSED: Final = {
    "forbidden": "it is not allowed",
    "auth_failed": "the credentials do not count for it",
    "unsupported": "the gateway has no such call",
}
# Huawei's front gateway answers so before it has asked the service behind it.
_FRONT_GATEWAY: Final = "APIGW."


@dataclass(frozen=True, slots=True)
class Probe:
    """A right and the call that tries it. `path` has places in braces, which are filled in before it is sent.

    `body` must be one that no cloud can take for a wish: nothing is stored by it, nothing bound.
    """

    right: str
    method: str
    path: str
    action: str = ""
    """What the right is called in the cloud's own policies, where that is documented."""
    body: Mapping[str, object] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    is_documented: bool = True
    """Where it is not, a 404 may also mean that there is no such call."""

    @property
    def what(self) -> str:
        return f"{self.right} ({self.method} {self.path})"

    def request(self, places: Mapping[str, str]) -> Request:
        """Only reads are repeated: some clouds answer a body without sense by 500, time after time."""
        path = path_of(*(places.get(one, one) for one in self.path.strip("/").split("/")))
        operation = f"check_{self.right.replace(' ', '_')}"
        is_read = self.method == "GET"
        return Request(operation, self.method, path, self.query, self.body, repeatable=is_read, expect=_ACCEPTED)


async def tried(send: Send, probe: Probe, places: Mapping[str, str]) -> Right:
    """What an answer says about the right. Never raises for an answer, nor for the lack of one."""
    try:
        await send(probe.request(places))
    except RotationError as error:
        return _refused(probe, error)
    if probe.method in ("GET", "DELETE"):
        return Right(probe.what, "there")
    # Where there is nothing to do, a cloud may well not look at rights.
    return Right(probe.what, "unknown", "not known: the gateway accepted a call that asks for nothing")


def _refused(probe: Probe, error: RotationError) -> Right:
    if error.reason in _REFUSED:
        wanted = f"; allow {probe.action}" if probe.action and error.reason == "forbidden" else ""
        return Right(probe.what, "missing", f"{_REFUSED[error.reason]}{wanted} (the gateway says: {error.message})")
    if error.reason == "quota" or _is_looked_at(probe, error):
        return Right(probe.what, "there")
    return Right(probe.what, "unknown", f"not known: {error.reason}: {error.message}")


def _is_looked_at(probe: Probe, error: RotationError) -> bool:
    is_of_front = (error.code or "").startswith(_FRONT_GATEWAY)
    may_be_absent = not probe.is_documented and error.status == 404  # noqa: PLR2004 - HTTP's own
    return error.status in _LOOKED_AT and not is_of_front and not may_be_absent
