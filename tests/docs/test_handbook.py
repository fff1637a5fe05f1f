"""What the handbook says is done, word for word, on a host with simulated clouds; and comes out as it says."""

import asyncio
import json
import subprocess
import tomllib
from pathlib import Path
from typing import Final

import pytest

from tests.docs.host import NAME, Host, installed
from tests.docs.pages import blocks, read, section
from tests.docs.test_quickstart import of_its_own
from worker.sandbox.ca import Authority
from worker.sandbox.world import Fault

pytestmark = pytest.mark.acme
PAGE: Final = "docs/handbook.md"
FIRST: Final = ("README.md", "The first hook")


async def failed(there: Host) -> None:
    """A renewal for which the cloud lacks a right, and then has it."""
    there.sandbox.world.faults.append(Fault("modify_certificate", status=403, times=None))
    await there.follow(*FIRST)
    assert (await there.outcomes(1))[0]["reason"] == "forbidden"
    while not json.loads((await there.command("dead", "list", "--json"))[1]):
        await asyncio.sleep(0.05)


async def test_a_failed_renewal_is_found_understood_mended_and_replayed(tmp_path: Path) -> None:
    async with installed(tmp_path) as there:
        await failed(there)
        assert (await there.command("check"))[0] == 78
        shown, event, mended = section(PAGE, "A renewal has failed")
        await there.carry_out(shown)
        assert "forbidden" in there.said[-1]
        assert "rotation-worker dead replay" in there.said[-1]
        await there.carry_out(event)
        [told] = json.loads(there.said[-1])
        assert told["data"]["deployments"][0]["reason"] == "forbidden"
        there.sandbox.world.faults.clear()
        await there.carry_out(mended)
        await there.follow(PAGE, "Operations handbook", "Is all well?")
        assert "forbidden" in there.said[-1]
        await there.follow(PAGE, "Replay a dead letter")
        await there.succeeds(2)


async def test_a_certificate_is_added(tmp_path: Path) -> None:
    async with installed(tmp_path) as there:
        world = there.sandbox.world
        stored = world.add_certificate(Authority.create().issue(["billing.example.com"]), "billing")
        world.bind(stored, world.add_domain(world.add_group(there.instance), "billing.example.com"))
        first, second, third = section(PAGE, "Add a certificate")
        await there.carry_out(first)
        block = "\n".join(line for line in there.said[-1].splitlines() if not line.startswith("#"))
        with (tmp_path / "etc" / "worker.toml").open("a", encoding="utf-8") as settings:
            settings.write(block)
        assert "billing" in block
        there.says["NAME"] = block.partition("[certificates.")[2].partition("]")[0]
        await there.carry_out(second)
        assert stored in there.said[-1]
        await there.carry_out(third)
        assert there.worker is not None


async def test_a_certificate_is_rotated_by_hand_with_and_without_the_queue(tmp_path: Path) -> None:
    async with installed(tmp_path) as there:
        await there.shell([f"certbot certonly --standalone -d {NAME} --agree-tos -m you@example.com"])
        queued, alone = section(PAGE, "Rotate by hand")
        await there.carry_out(queued)
        first = await there.succeeds(1)
        await asyncio.sleep(1)
        await there.shell(["certbot renew --force-renewal"])
        await there.carry_out(alone)
        assert "succeeded" in "".join(there.said)
        assert await there.served() != first


async def test_a_worker_drains(tmp_path: Path) -> None:
    async with installed(tmp_path) as there:
        await there.follow(PAGE, "Drain")
        assert there.worker is None
        await there.follow(*FIRST)
        await there.start()
        await there.succeeds(1)


async def test_the_workers_key_is_rolled_over(tmp_path: Path) -> None:
    async with installed(tmp_path) as there:
        first, second, third = section(PAGE, "Roll the worker's key over")
        await there.carry_out(first)
        await there.follow(*FIRST)
        await there.succeeds(1)
        await there.carry_out(second)
        await there.carry_out(third)
        await asyncio.sleep(1)
        await there.shell(["certbot renew --force-renewal"])
        await there.succeeds(2)


@pytest.mark.parametrize(
    "named",
    [
        'url = "sqlite:////var/lib/rotation-worker/broker.sqlite"     # or amqps://…',
        'url_file = "amqp-url"',
        'url_file="/run/credentials/rotation-worker.service/amqp-url"',
    ],
)
def test_however_the_old_broker_is_named_the_copy_names_the_new_one(tmp_path: Path, named: str) -> None:
    (tmp_path / "worker.toml").write_text(f"[broker]\n{named}\nprefetch = 8\n", encoding="utf-8")
    lines = section(PAGE, "Move to another broker")[0].text.splitlines()
    script = "\n".join(line for line in lines if line.startswith(("sed ", "grep ")))
    subprocess.run(["sh", "-ec", script.replace("/etc/rotation-worker", str(tmp_path))], check=True)
    copied = tomllib.loads((tmp_path / "new.toml").read_text(encoding="utf-8"))
    assert copied == {"broker": {"url_file": "new-url", "prefetch": 8}}


def test_under_systemd_the_new_broker_is_named_where_the_unit_hands_its_url_over(tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    for name, text in (
        ("worker.toml", '[broker]\nurl_file = "old"\n'),
        ("new.toml", '[broker]\nurl_file = "new-url"\n'),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "worker.toml").chmod(0o644)
    (tmp_path / "new.toml").chmod(0o600)
    (tmp_path / "new-url").write_text("amqps://new", encoding="utf-8")
    lines = section(PAGE, "Move to another broker")[-1].text.splitlines()
    script = "\n".join(line for line in lines if not line.startswith(("systemctl ", "rotation-worker ")))
    subprocess.run(["sh", "-ec", script.replace("/etc/rotation-worker", str(tmp_path))], check=True)
    settings, credentials = tmp_path / "worker.toml", dict[str, str]()
    for line in read("deploy/systemd/rotation-worker.service").splitlines():
        if line.startswith("LoadCredential="):
            name, _, file = line.partition("=")[2].partition(":")
            credentials[f"/run/credentials/rotation-worker.service/{name}"] = file
    named = tomllib.loads(settings.read_text(encoding="utf-8"))["broker"]["url_file"]
    handed_over = Path(credentials[named].replace("/etc/rotation-worker", str(tmp_path)))
    assert (handed_over.read_text(encoding="utf-8"), handed_over.stat().st_mode & 0o777) == ("amqps://new", 0o600)
    assert settings.stat().st_mode & 0o777 == 0o644


@pytest.mark.rabbitmq
async def test_the_worker_moves_to_another_broker(tmp_path: Path, rabbit: str) -> None:
    async with installed(tmp_path, **of_its_own(rabbit, tmp_path)) as there:
        await there.follow(*FIRST)
        before = await there.succeeds(1)
        (tmp_path / "etc" / "amqp-url").rename(tmp_path / "etc" / "new-url")
        prepared, signing, finished, moved, _under_systemd = section(PAGE, "Move to another broker")
        await there.carry_out(prepared)
        await there.carry_out(signing)
        hook = "rotation-worker publish --config /etc/rotation-worker/new.toml"
        await asyncio.sleep(1)
        await there.shell([f"certbot renew --force-renewal --deploy-hook '{hook}'"])
        await there.carry_out(finished)
        assert before in (tmp_path / "lib" / "history-until-now.json").read_text(encoding="utf-8")
        await there.carry_out(moved)
        assert await there.succeeds(1) != before


async def test_an_older_copy_of_the_embedded_broker_does_no_harm(tmp_path: Path) -> None:
    async with installed(tmp_path) as there:
        backup, restore = section(PAGE, "Back up and restore")
        await there.stop()
        await there.follow(*FIRST)
        await there.carry_out(backup)
        first = await there.succeeds(1)
        await asyncio.sleep(1)
        await there.shell(["certbot renew --force-renewal"])
        second = await there.succeeds(2)
        await there.carry_out(restore)
        [told] = await there.outcomes(1)
        assert told["outcome"] in ("superseded", "succeeded")
        assert await there.served() == second != first


def test_every_section_with_commands_is_carried_out_here() -> None:
    followed = Path(__file__).read_text(encoding="utf-8")
    told = {block.heading for block in blocks(read(PAGE)) if "host" not in block.words}
    assert [heading for heading in told if f'"{heading}"' not in followed] == []
