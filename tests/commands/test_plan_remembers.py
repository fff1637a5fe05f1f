"""`rotation-worker plan` says what the worker would: it knows what was told and noted before."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.broker.places import event
from tests.commands.processes import run
from tests.support.judging import kept_by_all
from tests.verification.servers import closed_port
from worker.broker import broker_of
from worker.broker.base import Broker
from worker.building import certificates_of
from worker.core.errors import Failure
from worker.core.note import Note
from worker.core.proof import Shortfall
from worker.core.snapshot import Snapshot
from worker.sandbox import Sandbox
from worker.sandbox.playground import Playground
from worker.settings.loading import load

BAD = Failure("still_old", "www.example.com at 10.0.0.7 port 443: serves the certificate that was replaced", True)


@dataclass
class Scene:
    """A playground with its embedded broker, and the renewed leaf's fingerprint."""

    sandbox: Sandbox
    settings: Path
    leaf: str

    async def planned(self) -> Sequence[dict[str, Any]]:
        status, said, _ = await run("plan", *self._words, "--json")
        assert status == 0
        return list(json.loads(said))

    async def said(self) -> str:
        return (await run("plan", *self._words))[1]

    @property
    def _words(self) -> Sequence[str]:
        folder = self.settings.parent
        files = ("--chain", str(folder / "chain.pem"), "--key", str(folder / "key.pem"))
        return ("shop", "--config", str(self.settings), *files)

    @asynccontextmanager
    async def broker(self) -> AsyncIterator[Broker]:
        broker = broker_of(load(self.settings, {}), kept_by_all)
        await broker.declare()
        yield broker
        await broker.close()


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    async with Sandbox() as sandbox:
        told = await Playground(sandbox, folder).laid_out()
        leaf = x509.load_pem_x509_certificate((folder / "chain.pem").read_bytes())
        yield Scene(sandbox, Path(str(told["settings"])), leaf.fingerprint(hashes.SHA256()).hex())


def put(fingerprint: str, *, days: int, **overrides: Any) -> dict[str, object]:
    """That a leaf was put there which begins so many days from now."""
    begins = datetime.now(UTC) + timedelta(days)
    leaf = {
        "fingerprint_sha256": fingerprint,
        "not_before": begins.isoformat(),
        "not_after": (begins + timedelta(90)).isoformat(),
        "names": ["www.example.com"],
    }
    data = {"outcome": "succeeded", "renewal_id": "r1", "leaf": leaf, "deployments": [], **overrides}
    return event(id="told", data=data)


async def test_what_was_put_there_since_supersedes_it_before_any_gateway_is_asked(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        async with one.broker() as broker:
            await broker.publish_event(put("ab" * 32, days=1))
        told = await one.planned()
        assert [(it["does"], it["reason"]) for it in told] == [("nothing: superseded", "downgrade")] * 2
        assert one.sandbox.world.journal == []
        assert "apig (in_place): nothing: superseded: downgrade\n" in await one.said()


async def test_what_was_rolled_back_says_so(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        went_back = {"outcome": "failed", "bindings": {"rolled_back": 1}, "reason": "rolled_back", "replaced": False}
        async with one.broker() as broker:
            await broker.publish_event(put(one.leaf, days=0, outcome="failed", deployments=[went_back]))
        assert [(it["does"], it["was_rolled_back"]) for it in await one.planned()] == [("rotates", True)] * 2


async def test_what_a_worker_has_found_bad_goes_back(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        _, second = certificates_of(load(one.settings, {}))["shop"].deployments
        snapshot = Snapshot().condemned((), [Shortfall(BAD, None, "")])
        async with one.broker() as broker:
            await broker.keep("shop", Note(second.key, one.leaf, snapshot))
        apig, bycloud = await one.planned()
        assert (apig["does"], bycloud["does"], bycloud["reason"]) == ("rotates", "goes back", "still_old")
        assert f"bycloud (replace): goes back: still_old: {BAD.message}\n" in await one.said()


async def test_where_the_history_cannot_be_read_that_is_told_with_what_is_planned(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        text = one.settings.read_text().replace("sqlite:///queue.db", f"amqp://127.0.0.1:{await closed_port()}/")
        one.settings.write_text(text)
        told = await one.planned()
        assert [(it["does"], bool(it["history_unread"])) for it in told] == [("rotates", True)] * 2
        assert "  not known: what the history says of it: " in await one.said()
