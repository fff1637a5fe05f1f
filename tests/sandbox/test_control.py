"""The sandbox is told over HTTP what shall go wrong."""

from dataclasses import fields

import aiohttp
import pytest

from worker.sandbox import Sandbox
from worker.sandbox.world import Fault


async def test_a_fault_is_taken_and_the_journal_tells_what_came_of_it() -> None:
    async with Sandbox() as sandbox, aiohttp.ClientSession() as session:
        fault = {"operation": "obtain_token", "status": 503}
        async with session.post(f"{sandbox.control_endpoint}/faults", json=fault) as answer:
            assert answer.status == 201
        for status in (503, 401):
            async with session.post(f"{sandbox.iam_endpoint}/v3/auth/tokens", json={}) as answer:
                assert answer.status == status
        async with session.get(f"{sandbox.control_endpoint}/journal") as answer:
            journal = await answer.json()
        assert [(call["operation"], call["status"]) for call in journal] == [
            ("obtain_token", 503),
            ("obtain_token", 401),
        ]


async def test_a_fault_of_a_call_that_is_not_there_is_refused_and_those_that_are_there_are_named() -> None:
    async with Sandbox() as sandbox, aiohttp.ClientSession() as session:
        async with session.post(f"{sandbox.control_endpoint}/faults", json={"operation": "attach"}) as answer:
            told = await answer.json()
        assert (answer.status, told["problems"]) == (400, ["operation"])
        assert {"attach_domains", "create_binding", "obtain_token"} <= set(told["operations"])
        assert sandbox.world.faults == []


async def test_the_root_tells_what_there_is() -> None:
    async with Sandbox() as sandbox, aiohttp.ClientSession() as session:
        async with session.get(sandbox.control_endpoint) as answer:
            told = await answer.json()
        assert told["operations"] == sorted(sandbox.world.operations)
        assert set(told["POST /faults"]) == {field.name for field in fields(Fault)}
        async with session.post(f"{sandbox.control_endpoint}/faults", json=told["example"]) as answer:
            assert answer.status == 201


async def test_a_fault_of_another_form_is_refused_by_its_place() -> None:
    fault = {"operation": "obtain_token", "kind": "no", "state": 503}
    async with (
        Sandbox() as sandbox,
        aiohttp.ClientSession() as session,
        session.post(f"{sandbox.control_endpoint}/faults", json=fault) as answer,
    ):
        assert (answer.status, (await answer.json())["problems"]) == (400, ["kind", "state"])


@pytest.mark.parametrize(("kind", "status"), [("answer", 503), ("reset", None)])
async def test_a_cloud_is_down_until_that_is_taken_back_and_the_others_are_not(kind: str, status: int | None) -> None:
    async with Sandbox() as sandbox, aiohttp.ClientSession() as session:

        async def asked(endpoint: str) -> int | None:
            try:
                async with session.get(f"{endpoint}/v1/certificates") as answer:
                    return answer.status
            except aiohttp.ClientError:
                return None

        faults = f"{sandbox.control_endpoint}/faults"
        fault = {"operation": "bycloud", "kind": kind, "status": 503, "times": None}
        async with session.post(faults, json=fault) as answer:
            assert answer.status == 201
        assert [await asked(sandbox.bycloud_endpoint) for _ in range(3)] == [status] * 3
        async with session.post(f"{sandbox.iam_endpoint}/v3/auth/tokens", json={}) as answer:
            assert answer.status == 401
        async with session.get(faults) as answer:
            (told,) = await answer.json()
            assert (told["operation"], told["times"]) == ("bycloud", None)
        async with session.delete(faults) as answer:
            assert answer.status == 200
        assert await asked(sandbox.bycloud_endpoint) == 401
