"""`rotation-worker plan` without files: what is there now, and what a renewed certificate would cause."""

import json
from collections.abc import Iterator
from pathlib import Path

from tests.bite.fault import ROOT
from tests.commands.processes import run
from worker.sandbox import Sandbox, SandboxConfig
from worker.sandbox.playground import Playground


async def test_without_files_it_shows_what_is_there_and_supposes_a_renewed_certificate(tmp_path: Path) -> None:
    async with Sandbox(SandboxConfig()) as sandbox:
        told = await Playground(sandbox, tmp_path).laid_out()
        stored = sandbox.world.certificates[str(told["apig_certificate"])].leaf
        words = ("plan", "shop", "--config", str(told["settings"]))
        status, said, _ = await run(*words, "--json")
        changes = {call.method for call in sandbox.world.journal if call.operation != "obtain_token"}
        apig, bycloud = json.loads(said)
        assert (status, changes) == (0, {"GET"})
        assert (apig["does"], apig["replacement"], apig["is_supposed"]) == (
            "rotates",
            f"modify {told['apig_certificate']}",
            True,
        )
        assert apig["stored"]["serial_number"] == str(stored.serial_number)
        assert apig["stored"]["not_after"] == stored.not_valid_after_utc.isoformat().replace("+00:00", "Z")
        assert apig["attach"] == [f"www.example.com on {told['instance']}"]
        assert [one["to"]["certificate_id"] for one in apig["bound"]] == [told["apig_certificate"]]
        assert (bycloud["replacement"], bycloud["attach"]) == ("create shop", [told["listener"]])
        status, said, _ = await run(*words)
    assert (status, "apig (in_place): supposing a renewed certificate: rotates\n" in said) == (0, True)
    assert f"serial {stored.serial_number}, expires " in said
    assert said.count("  unproven: no endpoint is asked for anything of the first wave\n") == 1
    assert f"  bound to it: www.example.com on {told['instance']}\n" in said


async def test_the_calls_that_planning_took_are_told_apart_from_those_that_are_planned(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        told = await Playground(sandbox, tmp_path, domains=3).laid_out()
        files = (tmp_path / "chain.pem", tmp_path / "key.pem")
        status, said, _ = await run(
            "plan", "shop", "--config", str(told["settings"]), "--chain", files[0], "--key", files[1]
        )
        made = [call for call in sandbox.world.journal if call.operation != "obtain_token"]
        assert (status, said.splitlines()[-1].partition("calls")[0]) == (0, f"costs besides: the {len(made)} ")
        planned = sum(int(line.split()[1]) for line in said.splitlines() if line.startswith("  costs: "))
        sandbox.world.journal.clear()
        await run("rotate", "shop", "--config", str(told["settings"]), "--chain", files[0], "--key", files[1])
        rotated = [call for call in sandbox.world.journal if call.operation != "obtain_token"]
        assert len(rotated) == planned + len(made)


def places_in(value: object, place: str = "") -> Iterator[str]:
    """The place of every field, list items being one place."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield f"{place}.{name}"
            yield from places_in(one, f"{place}.{name}")
    elif isinstance(value, list):
        for one in value:
            yield from places_in(one, place)


def documented() -> object:
    """The example of the documentation."""
    text = (ROOT / "docs" / "plan.md").read_text(encoding="utf-8")
    return json.loads(text.partition("```json\n")[2].partition("```")[0])


async def test_what_is_not_there_is_told_and_hides_nothing_of_the_rest(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        told = await Playground(sandbox, tmp_path).laid_out()
        del sandbox.world.certificates[str(told["apig_certificate"])]
        status, said, complained = await run("plan", "shop", "--config", str(told["settings"]), "--json")
    apig, bycloud = json.loads(said)
    assert (status, apig["does"], apig["reason"], bycloud["does"]) == (0, "fails", "not_found", "rotates")
    assert apig["next"].startswith("correct the deployment in the settings")
    assert complained == f"next: {apig['next']}\n"


async def test_what_discover_prints_of_an_upload_is_replaced(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        told = await Playground(sandbox, tmp_path).laid_out()
        managed = sandbox.world.add_upload(Playground(sandbox, tmp_path).authority.issue(["m.example.com"]), "managed")
        sandbox.world.bind_listener(managed, str(told["listener"]), sni=True)
        _, said, _ = await run("discover", "bycloud", "--json", "--config", str(told["settings"]))
    assert {one["name"]: one["is_uploaded"] for one in json.loads(said)} == {"shop": True, "managed": False}


async def test_its_steps_are_what_the_rotation_then_does(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        told = await Playground(sandbox, tmp_path).laid_out()
        settings = Path(str(told["settings"]))
        port = sandbox.listeners.ports[str(told["instance"])]
        endpoint = f'{{address = "127.0.0.1:{port}", server_name = "www.example.com"}}'
        settings.write_text(f"{settings.read_text()}[certificates.shop.verify]\nendpoints = [{endpoint}]\n")
        words = ("shop", "--config", settings, "--chain", tmp_path / "chain.pem", "--key", tmp_path / "key.pem")
        status, said, _ = await run("plan", *words, "--json")
        observing = [call for call in sandbox.world.journal if call.operation != "obtain_token"]
        assert {*places_in(documented())} - {*places_in(json.loads(said))} == {
            ".waits_until", ".begins_by", ".warnings"
        }, "told only where there are any"  # fmt: skip
        assert {*places_in(json.loads(said))} <= {*places_in(documented())}
        apig, bycloud = json.loads(said)
        assert (status, {call.method for call in observing}) == (0, {"GET"})
        sandbox.world.journal.clear()
        status, said, _ = await run("rotate", *words, "--json")
        made = [(call.method, call.path) for call in sandbox.world.journal if call.operation != "obtain_token"]
    assert (status, len(made)) == (0, len(observing) + apig["calls"] + bycloud["calls"])
    [put] = apig["steps"][0]["calls"]
    assert (put["operation"], put["bindings"]) == ("modify_certificate", [])
    assert (put["method"], put["path"]) in made
    assert [(one["step"], one["wave"]) for one in apig["steps"]] == [
        ("replace", None), ("attach", None), ("read_back", None), ("verify", None)
    ]  # fmt: skip
    assert apig["steps"][1]["calls"][0]["bindings"] == apig["attach"]
    assert [(one["step"], one["wave"]) for one in bycloud["steps"]] == [
        ("replace", None), ("attach", 1), ("read_back", 1), ("verify", None)
    ]  # fmt: skip
    assert apig["steps"][-1]["endpoints"] == bycloud["steps"][-1]["endpoints"]
    assert apig["steps"][-1]["endpoints"] == [{"endpoint": f"127.0.0.1:{port}", "server_name": "www.example.com"}]
    assert [sum(len(one["calls"]) for one in each["steps"]) for each in (apig, bycloud)] == [
        apig["calls"], bycloud["calls"]
    ]  # fmt: skip
    assert ("is_canary_asked" in apig, bycloud["is_canary_asked"]) == (False, False), "the endpoint is the domain's"
    [bind] = bycloud["steps"][1]["calls"]
    assert bind["path"] == "/v1/certificates/{new certificate}/bindings"
