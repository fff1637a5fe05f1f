"""The leak canary: every test runs under it, and fails where a secret of its own came out at any door.

It knows each private key that was made in this process, and the sandbox's passwords and tokens. The doors: what is
printed, what is logged, warnings, outcome events, spans, dead letters' headers, and the exceptions that a test caught.
It names the door and never the value. What a process says that a test starts is that test's own to look at: `leaks.py`.
"""

import logging
import re
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Final

import pytest
from opentelemetry.sdk.trace import Span

from tests.support.keys_made import MADE, Key, is_told
from worker.broker.rabbitmq import RabbitDelivery
from worker.broker.sqlite_deliveries import SqliteDelivery
from worker.core.events import OutcomeEvent
from worker.sandbox import SandboxConfig
from worker.sandbox.credentials import TOKEN_BEGINS

_SANDBOX: Final = SandboxConfig()
SANDBOX_SECRETS: Final = (_SANDBOX.password, _SANDBOX.secret_key, _SANDBOX.secret, _SANDBOX.token, TOKEN_BEGINS)
# A URL that still has its password, whichever broker it is of.
_URL_PASSWORD: Final = re.compile(r"[a-z]://[^\s/:@'\"]*:[^\s/:@'\"*<{]+@[\w.\[]")


@dataclass(slots=True)
class Watch:
    """What was told at the doors since the test began, and the keys that were made since then."""

    keys_before: int = 0
    told: list[tuple[str, str]] = field(default_factory=list)

    def begin(self) -> None:
        """Keys of modules, which were made before any test, may come out in every test."""
        self.keys_before = self.keys_before or len(MADE)
        del MADE[self.keys_before :]
        self.told.clear()

    def hear(self, door: str, text: str) -> None:
        self.told.append((door, text))

    def leaks(self, sections: Iterable[tuple[str, str]]) -> list[str]:
        """The doors at which a secret came out."""
        return sorted({door for door, text in (*self.told, *sections) if is_leak(text, MADE)})


def is_leak(text: str, keys: Iterable[Key]) -> bool:
    return any(one in text for one in SANDBOX_SECRETS) or bool(_URL_PASSWORD.search(text)) or is_told(text, keys)


def told_by(error: BaseException) -> str:
    """Everything that an exception tells: itself, what it holds, and those that it came from."""
    texts: list[str] = []
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            texts += _texts(one)
            waiting += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
    return "\n".join(texts)


def _texts(error: BaseException) -> Iterator[str]:
    yield from (str(error), repr(error), repr(error.args), repr(getattr(error, "__dict__", None)))
    # `args` may be of another class's making; the rest is what readers hold of what they read.
    yield from (repr(getattr(error, name, None)) for name in ("__notes__", "object", "doc", "message", "request_info"))
    held = getattr(error, "errors", None)
    yield repr(held()) if callable(held) else ""


WATCH: Final = Watch()


def _logged(told: Callable[..., logging.LogRecord]) -> Callable[..., logging.LogRecord]:
    @wraps(told)
    def heard(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = told(*args, **kwargs)
        WATCH.hear("a log record", f"{record.getMessage()}\n{record.__dict__!r}")
        if record.exc_info and record.exc_info[1]:
            WATCH.hear("a log record's exception", told_by(record.exc_info[1]))
        return record

    return heard


def _caught(told: Callable[..., None]) -> Callable[..., None]:
    @wraps(told)
    def heard(self: pytest.ExceptionInfo[BaseException], info: tuple[Any, BaseException, Any]) -> None:
        WATCH.hear("an exception", told_by(info[1]))
        told(self, info)

    return heard


def _published(told: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    @wraps(told)
    def heard(self: OutcomeEvent, **how: Any) -> dict[str, Any]:
        event = told(self, **how)
        WATCH.hear("an outcome event", repr(event))
        return event

    return heard


def _traced(told: Callable[..., None]) -> Callable[..., None]:
    @wraps(told)
    def heard(self: Span, end_time: int | None = None) -> None:
        events = [(one.name, dict(one.attributes or {})) for one in self.events]
        WATCH.hear("a span", repr((self.name, dict(self.attributes or {}), events, self.status.description)))
        told(self, end_time)

    return heard


def _buried(told: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(told)
    def heard(self: object, reason: str, **about: Any) -> Any:
        WATCH.hear("a dead letter's headers", repr((reason, about)))
        return told(self, reason, **about)

    return heard


@pytest.hookimpl
def pytest_sessionstart(session: pytest.Session) -> None:
    """At each door somebody who hears what passes, and lets it pass."""
    doors = pytest.MonkeyPatch()
    session.config.add_cleanup(doors.undo)
    doors.setattr(logging.Logger, "makeRecord", _logged(logging.Logger.makeRecord))
    doors.setattr(pytest.ExceptionInfo, "fill_unfilled", _caught(pytest.ExceptionInfo.fill_unfilled))
    doors.setattr(OutcomeEvent, "model_dump", _published(OutcomeEvent.model_dump))
    doors.setattr(Span, "end", _traced(Span.end))
    for kind in (RabbitDelivery, SqliteDelivery):
        doors.setattr(kind, "bury", _buried(kind.bury))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Inside of pytest's own gathering of warnings, which goes on."""
    WATCH.begin()
    shown = warnings.showwarning

    def show(message: Warning | str, *how: Any, **more: Any) -> None:
        WATCH.hear("a warning", str(message))
        # Pytest would tell it again at its end.
        shown(UserWarning("a secret") if is_leak(str(message), MADE) else message, *how, **more)

    with pytest.MonkeyPatch.context() as door:
        door.setattr(warnings, "showwarning", show)
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    said = [(door.lower(), text) for door, text in report.sections if door.endswith(str(report.when))]
    doors = WATCH.leaks(said)
    if doors:
        _fail(report, f"a secret came out: {', '.join(doors)}")
    WATCH.told.clear()
    return report


def _fail(report: pytest.TestReport, why: str) -> None:
    """The report would show what was printed: what leaked is left out of it."""
    report.sections = [(door, text) for door, text in report.sections if not is_leak(text, MADE)]
    if report.outcome == "failed":
        report.sections.append(("leak canary", why))
    else:
        report.outcome, report.longrepr = "failed", why
