"""`rotation-worker plan` without files: what is there now, and what a renewed certificate would cause."""

import json
from pathlib import Path

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
    assert f"  bound to it: www.example.com on {told['instance']}\n" in said


async def test_what_is_not_there_is_told_and_hides_nothing_of_the_rest(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        told = await Playground(sandbox, tmp_path).laid_out()
        del sandbox.world.certificates[str(told["apig_certificate"])]
        status, said, _ = await run("plan", "shop", "--config", str(told["settings"]), "--json")
    apig, bycloud = json.loads(said)
    assert (status, apig["does"], apig["reason"], bycloud["does"]) == (0, "fails", "not_found", "rotates")


async def test_what_discover_prints_of_an_upload_is_replaced(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        told = await Playground(sandbox, tmp_path).laid_out()
        managed = sandbox.world.add_upload(Playground(sandbox, tmp_path).authority.issue(["m.example.com"]), "managed")
        sandbox.world.bind_listener(managed, str(told["listener"]), sni=True)
        _, said, _ = await run("discover", "bycloud", "--json", "--config", str(told["settings"]))
    assert {one["name"]: one["is_uploaded"] for one in json.loads(said)} == {"shop": True, "managed": False}
