"""The sandbox is told over HTTP what shall go wrong."""

import aiohttp

from worker.sandbox import Sandbox


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


async def test_a_fault_of_another_form_is_refused_by_its_place() -> None:
    fault = {"operation": "x", "kind": "no"}
    async with (
        Sandbox() as sandbox,
        aiohttp.ClientSession() as session,
        session.post(f"{sandbox.control_endpoint}/faults", json=fault) as answer,
    ):
        assert (answer.status, await answer.json()) == (400, {"problems": ["kind"]})
