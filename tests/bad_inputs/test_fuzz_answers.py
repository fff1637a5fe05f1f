"""What the clouds answer, changed a little or entirely: a rotation ends in our own words, and ends."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from tests.bad_inputs.mutations import ANYTHING, dumped, mutated
from tests.reliability.crash_cloud import Cloud, Told
from tests.reliability.crash_life import Life
from tests.reliability.crash_stage import Stage, staged
from tests.support.virtual_time import run_virtual
from worker.core.deployment import Strategy

CASES: Final = 150 if settings.get_current_profile_name() == "ci" else 25
SHORT: Final = settings(
    max_examples=CASES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
STATUSES: Final = st.sampled_from([200, 200, 200, 201, 204, 400, 401, 403, 404, 409, 429, 500, 503])
HEADERS: Final = st.sampled_from(["", "-1", "99999999", "soon", "Mon, 01 Jan 0001 00:00:00 GMT", "\0", "1e400"])


@dataclass(slots=True)
class Fuzzed(Cloud):
    """Does its work, and answers some of the calls in another way."""

    draw: Callable[[st.SearchStrategy[Told]], Told] | None = None
    calls: Iterator[int] = field(default_factory=lambda: iter(range(10_000)))
    spoils: frozenset[int] = frozenset()
    """The numbers of the calls that are answered in another way."""

    async def exchange(self, life: Life, method: str, url: URL, body: bytes) -> Told:
        status, headers, content = await super(Fuzzed, self).exchange(life, method, url, body)
        if next(self.calls) not in self.spoils:
            return status, headers, content
        assert self.draw is not None
        return self.draw(answers(status, json.loads(content or b"null")))


@st.composite
def answers(draw: st.DrawFn, status: int, good: Any) -> Told:
    """Most are nearly the good one."""
    body = draw(mutated(good).map(dumped) | ANYTHING.map(dumped) | st.binary(max_size=40))
    is_other = draw(st.booleans())
    headers = {"retry-after": draw(HEADERS), "x-ratelimit-reset": draw(HEADERS)} if is_other else {}
    return (draw(STATUSES) if is_other else status), headers, body


def lived(strategy: Strategy, data: st.DataObject) -> Stage:
    """One renewal, and all that became of it."""
    stage = staged(strategy)
    spoils = data.draw(st.frozensets(st.integers(0, 15), min_size=1, max_size=4) | st.just(frozenset(range(12))))
    stage.cloud = Fuzzed(stage.world, 0.01, draw=data.draw, spoils=spoils)
    run_virtual(_renewed(stage))
    return stage


async def _renewed(stage: Stage) -> None:
    stage.send()
    await stage.live()


@pytest.mark.parametrize("strategy", ["in_place", "per_domain", "replace", "rebind"])
@SHORT
@given(data=st.data())
def test_no_answer_is_a_bug_and_every_rotation_ends(strategy: Strategy, data: st.DataObject) -> None:
    stage = lived(strategy, data)
    reasons = [one.event["data"]["reason"] for one in stage.store.told]
    assert len(reasons) == 1
    assert "internal_error" not in reasons + [one.reason for one in stage.store.dead()]
    assert [line for line in stage.logs if "crashed" in line] == []
