"""What the simulated ByCloud says of its limits: on every answer, and true."""

import time
from collections.abc import Mapping, Sequence

import aiohttp
import pytest

from worker.sandbox import Sandbox, SandboxConfig

Told = tuple[int, Mapping[str, str]]


async def told(limits: Sequence[tuple[int, float]], *paths: str, **credentials: str) -> list[Told]:
    async with Sandbox(SandboxConfig(bycloud_limits=limits)) as sandbox, aiohttp.ClientSession() as session:
        own = sandbox.config
        headers = {"X-Api-Key": f"{own.key_id}:{own.secret}", "X-Region": own.region, **credentials}
        answers: list[Told] = []
        for path in paths:
            async with session.get(f"{sandbox.bycloud_endpoint}{path}", headers=headers) as answer:
                answers.append((answer.status, dict(answer.headers)))
        return answers


def figures(headers: Mapping[str, str]) -> tuple[int, int]:
    return int(headers["X-RateLimit-Limit"]), int(headers["X-RateLimit-Remaining"])


async def test_every_answer_says_how_many_calls_are_left_and_until_when() -> None:
    began = time.time()
    answers = await told([(3, 60.0)], "/v1/certificates", "/v1/certificates/none", *["/v1/certificates"] * 2)
    assert [status for status, _ in answers] == [200, 404, 200, 429]
    assert [figures(headers) for _, headers in answers] == [(3, 2), (3, 1), (3, 0), (3, 0)]
    resets = [int(headers["X-RateLimit-Reset"]) for _, headers in answers]
    assert all(began + 60 <= reset <= time.time() + 61 for reset in resets)
    assert ["Retry-After" in headers for _, headers in answers] == [False, False, False, True]


async def test_whoever_has_no_credentials_is_told_as_well() -> None:
    [(status, headers)] = await told([(3, 60.0)], "/v1/certificates", **{"X-Api-Key": "wrong"})
    assert (status, figures(headers)) == (401, (3, 2))


async def test_of_a_short_window_that_is_exceeded_it_speaks_instead_of_the_longest() -> None:
    answers = await told([(50, 3600.0), (1, 60.0)], *["/v1/certificates"] * 2)
    assert [figures(headers) for _, headers in answers] == [(50, 49), (1, 0)]


@pytest.mark.parametrize("name", ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"])
async def test_where_there_is_no_limit_it_says_nothing(name: str) -> None:
    [(status, headers)] = await told([], "/v1/certificates")
    assert (status, name in headers) == (200, False)
