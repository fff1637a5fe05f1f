"""Renewals in any order and number, at sick clouds, before workers that die: every promise holds, and all comes right.

Hypothesis makes up the stories; hours of them pass in milliseconds. In CI it makes up many.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.reliability.crash_cloud import HOWS, Trouble
from tests.reliability.crash_proof import Look, never_bad
from tests.reliability.crash_stage import FIRST, NEW, Stage, issued, staged
from tests.support.virtual_time import run_virtual

CASES: Final = 200 if settings.get_current_profile_name() == "ci" else 20
"""Of each way to rotate."""
LEAVES: Final = [issued(days_old) for days_old in (80, 40, 30, 20, 10)]
"""The eldest is older than what is stored at first."""
OPERATIONS: Final = {
    "in_place": ("show_certificate", "list_domains", "modify_certificate", "attach_domains"),
    "blue_green": ("show_certificate", "list_domains", "create_certificate", "attach_domains", "delete_certificate"),
    "per_domain": ("show_group", "list_certificates", "add_certificate", "delete_certificate"),
    "rebind": ("show_upload", "create_binding"),
    "replace": ("show_upload", "list_uploads", "create_upload", "create_binding"),
}


@dataclass(frozen=True, slots=True)
class Posted:
    """A renewal: which leaf, after how long a pause, and whether it is sent again."""

    leaf: int
    pause: float
    is_repeated: bool
    is_urgent: bool
    may_go_back: bool

    @property
    def overrides(self) -> dict[str, Any]:
        urgent = {"reason": "key_compromise", "allow_shorter_validity": self.may_go_back}
        return urgent if self.is_urgent else {}


@dataclass(frozen=True, slots=True)
class Bad:
    """A leaf that is bad as soon as it is served at so many bindings; in these lives only, where any is named."""

    leaf: int
    bindings: int
    lives: frozenset[int]

    def __call__(self, look: Look) -> bool:
        is_it = look.serial == LEAVES[self.leaf].serial_number and look.bindings >= self.bindings
        return is_it and (not self.lives or look.life in self.lives)


@dataclass(frozen=True, slots=True)
class Story:
    posted: list[Posted]
    dies_at: list[int]
    troubles: list[tuple[str, Any, int]]
    bad: list[Bad] = field(default_factory=list)

    def is_bad(self, look: Look) -> bool:
        return any(one(look) for one in self.bad)

    @property
    def newest(self) -> int:
        """The serial that is to be served when all has come right."""
        everything = [FIRST, *(LEAVES[one.leaf] for one in self.posted)]
        return max(everything, key=lambda one: one.certificate.not_valid_before_utc).serial_number


def posted(leaf: int, pause: float = 0.0) -> Posted:
    return Posted(leaf, pause, is_repeated=False, is_urgent=False, may_go_back=False)


def stories(strategy: str) -> st.SearchStrategy[Story]:
    pauses = st.sampled_from([0.0, 0.0, 0.03, 0.1, 5.0, 45.0, 700.0])
    messages = st.builds(Posted, st.integers(0, len(LEAVES) - 1), pauses, st.booleans(), st.booleans(), st.booleans())
    trouble = st.tuples(st.sampled_from(OPERATIONS[strategy]), st.sampled_from(HOWS), st.integers(1, 6))
    bad = st.builds(Bad, st.integers(0, len(LEAVES) - 1), st.integers(1, 3), st.frozensets(st.integers(1, 4)))
    return st.builds(
        Story,
        st.lists(messages, min_size=1, max_size=4),
        st.lists(st.integers(1, 30), max_size=3),
        st.lists(trouble, max_size=3),
        st.lists(bad, max_size=3 if strategy == "blue_green" else 0),
    )


async def feed(stage: Stage, story: Story) -> None:
    stage.is_fed = False
    for number, one in enumerate(story.posted):
        await asyncio.sleep(one.pause)
        # What is to be bound again is held by the platform: there is one of it.
        stage.send(NEW if stage.strategy == "rebind" else LEAVES[one.leaf], **one.overrides)
        if one.is_repeated:
            stage.send_again(number)
    stage.is_fed = True


async def told(stage: Stage, story: Story) -> None:
    stage.cloud.troubles += [Trouble(*one) for one in story.troubles]
    feeding = asyncio.create_task(feed(stage, story))
    for effect in story.dies_at:
        await stage.live(dies_at=effect)
        await asyncio.sleep(1.0)
    await stage.live()
    await feeding
    stage.cloud.troubles.clear()
    stage.is_bad = never_bad
    stage.replay()
    await stage.live()
    if stage.strategy == "blue_green":  # what could not be deleted goes with the next one
        stage.send(NEW)
        await stage.live()


def check(strategy: Any, story: Story) -> None:
    stage = staged(strategy, verified=strategy in ("in_place", "per_domain", "blue_green"))
    stage.is_bad = story.is_bad
    run_virtual(told(stage, story))
    assert stage.broken_promises() == []
    if not any(one.may_go_back for one in story.posted):
        assert stage.served() == {NEW.serial_number if strategy in ("rebind", "blue_green") else story.newest}


def found(strategy: Any, *posted: Posted, troubles: Sequence[tuple[str, Any, int]] = ()) -> None:
    check(strategy, Story(list(posted), [], list(troubles)))


def test_a_leaf_that_comes_again_after_a_newer_one_is_not_bound_again() -> None:
    found("replace", posted(2), posted(3, pause=10.0), posted(2, pause=10.0))


def test_a_gateway_that_answers_again_after_it_was_down_is_asked_again() -> None:
    sick: Any = [("show_certificate", "500 before", 30), ("list_domains", "500 before", 30)]
    found("in_place", posted(4), troubles=sick)


cases = settings(max_examples=CASES, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@cases
@given(stories("in_place"))
def test_in_place_keeps_every_promise_in_any_story(story: Story) -> None:
    check("in_place", story)


@cases
@given(stories("per_domain"))
def test_per_domain_keeps_every_promise_in_any_story(story: Story) -> None:
    check("per_domain", story)


@cases
@given(stories("replace"))
def test_replace_keeps_every_promise_in_any_story(story: Story) -> None:
    check("replace", story)


@cases
@given(stories("rebind"))
def test_rebind_keeps_every_promise_in_any_story(story: Story) -> None:
    check("rebind", story)


@cases
@given(stories("blue_green"))
def test_blue_green_keeps_every_promise_in_any_story(story: Story) -> None:
    check("blue_green", story)
