"""How `rotation-worker check` is read: ticks or words, and what to do for each cross."""

import json
from pathlib import Path

from tests.commands.processes import run, run_on_terminal
from tests.commands.test_check import deployed
from tests.settings.files import APIG, written
from worker.broker.base import BrokerError, TopologyError
from worker.commands.finding import Finding
from worker.commands.next_steps import next_step
from worker.reasons import meanings
from worker.sandbox import Sandbox
from worker.sandbox.world import Fault

WORDS = ("ok     ", "FAILED ", "skipped")


async def test_on_a_terminal_there_are_ticks_and_elsewhere_words(tmp_path: Path) -> None:
    path = written(tmp_path, '[broker]\nurl = "amqp://127.0.0.1:1/"\n')
    on_terminal = await run_on_terminal("check", "--config", path, is_stdout_too=True)
    in_ascii = await run_on_terminal(
        "check", "--config", path, is_stdout_too=True, environ={"PYTHONIOENCODING": "ascii"}
    )
    status, said, _ = await run("check", "--config", path)
    assert {on_terminal.status, in_ascii.status, status} == {78}
    for told, marks in ((on_terminal.screen, "✓✗–"), (in_ascii.screen, WORDS), (said, WORDS)):  # noqa: RUF001 - a dash
        good, bad, skipped = (f"{mark} " for mark in marks)
        first, second, what_next, third = told.splitlines()
        assert first == f"{good}settings"
        assert second.startswith(f"{bad}broker: connect: connecting to 127.0.0.1:1")
        assert what_next == f"{' ' * len(bad)}next: start the broker, or correct [broker] in the settings"
        assert third == f"{skipped}broker: topology and rights: not tried: there is no connection"


async def test_every_cross_says_what_is_to_be_done(tmp_path: Path) -> None:
    (tmp_path / "token").touch(mode=0o644)
    _, said, _ = await run("check", "--json", "--config", written(tmp_path, APIG))
    assert [(one["message"], one["next"][:31]) for one in json.loads(said) if not one["is_good"]] == [
        ("gateways.apig-main.auth.token_file: the file can be read by everybody", "give the file to the user who r"),
    ]
    async with Sandbox() as sandbox:
        path = deployed(sandbox, tmp_path)
        sandbox.world.faults.append(Fault("modify_certificate", status=403, body={"error_code": "APIG.1005"}))
        (tmp_path / "secret").write_text("hunter2")
        _, said, _ = await run("check", "--json", "--config", path)
    assert {one["what"].partition(" (")[0]: one["next"] for one in json.loads(said) if one["next"]} == {
        "gateway apig: modify certificates": (
            "grant the account what is named; docs/least-privilege.md has the rights ready to paste"
        ),
        "gateway bycloud": "look at the gateway's auth in the settings, and at its files",
    }


def test_no_line_of_check_leads_back_to_check() -> None:
    steps = [one.step for one in meanings().values()]
    steps += [next_step(error) for error in (BrokerError("lost"), TopologyError("odd"), TopologyError("q: is missing"))]
    told = [Finding("gateway", is_good=False, next=step).told_by_check().next for step in steps]
    assert sum("rotation-worker check" in step for step in steps) > 10
    assert [step for step in told if "rotation-worker check" in step or not step] == []
    assert all(step.startswith(short) for step, short in zip(steps, told, strict=True))
