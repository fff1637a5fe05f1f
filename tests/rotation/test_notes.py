"""What is noted before anything is changed, and what a note is good for in another process. A cloud in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.fake_gateway import FakeGateway
from tests.support.values import bundle, certificate, current, day, deployment, domain, leaf, stored
from tests.support.virtual_time import run_virtual
from worker.core.bundle import Leaf
from worker.core.deployment import Deployment
from worker.core.errors import Failure, TransientError
from worker.core.note import Note
from worker.core.outcome import Previous, Report
from worker.core.snapshot import Snapshot
from worker.effort import Effort, spending
from worker.rotation import Rotator

THROTTLED = Failure("throttled", "", transient=True)
FLAGS = {"a.example.com": False, "b.example.com": True}


def gateway(**overrides: Any) -> FakeGateway:
    return FakeGateway(**{"stored": stored(), "rows": dict(FLAGS), "put_moves_flags": True, **overrides})


@dataclass
class Life:
    """A worker's process: what it has noted, in the order of what it has done at the cloud."""

    cloud: FakeGateway
    notes: list[Note] = field(default_factory=list)
    rotator: Rotator = field(init=False)

    def __post_init__(self) -> None:
        self.rotator = Rotator({"apig": self.cloud})

    async def keep(self, note: Note) -> None:
        self.cloud.journal.append("note")
        self.notes.append(note)

    def rotate(
        self, *deployments: Deployment, kept: Mapping[str, Snapshot] | None = None, of: Leaf | None = None
    ) -> Report:
        """`kept`: what it is told of notes, about the leaf `of`."""

        async def scenario() -> Report:
            self.rotator.recall(of or leaf(), kept or {})
            return await self.rotator.rotate(certificate(*deployments), bundle())

        with spending(Effort(keep=self.keep)):
            return run_virtual(scenario())

    def left(self) -> Mapping[str, Snapshot]:
        return {one.deployment: one.snapshot for one in self.notes}


def test_flags_are_noted_before_the_first_change_and_only_once() -> None:
    life = Life(gateway(errors={"replace": [TransientError("gateway_unavailable")]}))
    life.rotate()
    assert life.cloud.journal == ["observe", "note", "replace"]
    life.rotate()
    life.rotate()
    snapshot = Snapshot(
        {("a.example.com", "i1"): False, ("b.example.com", "i1"): True}, Previous("1", day(11)), is_replaced=True
    )
    assert life.notes == [Note("apig/c1", leaf().fingerprint_sha256, snapshot)]


def test_an_ordinary_rotation_notes_nothing() -> None:
    life = Life(gateway(rows={"a.example.com": False, "b.example.com": False}))
    assert life.rotate().reason == "rotated"
    assert life.notes == []


def test_where_nothing_is_replaced_nothing_is_noted() -> None:
    life = Life(gateway(stored=current()))
    listed = domain(), domain("b.example.com"), domain("c.example.com")
    assert life.rotate(deployment(bindings=listed)).reason == "rotated"
    assert (life.notes, "attach" in life.cloud.journal) == ([], True)


def test_flags_that_a_put_moved_are_put_back_by_a_process_that_was_left_a_note() -> None:
    first = Life(gateway(sick={"b.example.com": THROTTLED}))
    first.rotate()
    assert first.cloud.rows["b.example.com"] is False
    first.cloud.sick.clear()
    second = Life(first.cloud)
    report = second.rotate(kept=first.left())
    assert first.cloud.rows == FLAGS
    assert (report.outcome, report.deployments[0].replaced) == ("succeeded", True)
    assert report.deployments[0].previous == Previous("1", day(11))
    assert second.notes == []


def test_what_a_note_tells_is_not_noted_again() -> None:
    down = [TransientError("gateway_unavailable")]
    first = Life(gateway(errors={"replace": down}))
    first.rotate()
    second = Life(first.cloud)
    assert second.rotate(kept=first.left()).outcome == "succeeded"
    assert (second.notes, first.cloud.rows) == ([], FLAGS)


def test_a_note_of_another_leaf_or_another_deployment_says_nothing() -> None:
    cloud = gateway(stored=current())
    wrong = Snapshot(dict.fromkeys([("a.example.com", "i1"), ("b.example.com", "i1")], True))
    for other, key in ((leaf(fingerprint_sha256="cd" * 32), "apig/c1"), (leaf(), "apig/c2")):
        assert Life(cloud).rotate(kept={key: wrong}, of=other).reason == "already_current"
    assert cloud.rows == FLAGS


def test_what_this_process_knows_itself_goes_before_any_note() -> None:
    life = Life(gateway(sick={"b.example.com": THROTTLED}))
    life.rotate()
    life.cloud.sick.clear()
    life.rotate(kept={"apig/c1": Snapshot({("b.example.com", "i1"): False})})
    assert life.cloud.rows == FLAGS
