"""The Compose file: one command for a broker, a worker and a cloud; here with all but the engine."""

import asyncio
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.support.acme import require
from tests.support.engine import ROOT, engine, may_separate
from worker.sandbox.rabbit_node import SERVER

FILE: Final = ROOT / "deploy" / "compose" / "compose.yaml"
COMPOSE: Final[dict[str, Any]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICES: Final[dict[str, Any]] = COMPOSE["services"]
OURS: Final = [name for name, one in SERVICES.items() if "build" in one]
ONE_SHOTS: Final = ["prepare", "renew"]


def composing() -> list[str]:
    """The engine's own plugin, where its command line has it; else what Debian has."""
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], check=False, capture_output=True).returncode == 0:
        return [docker, "compose"]
    return [require("docker-compose")]


def test_compose_takes_the_file() -> None:
    done = subprocess.run(
        [*composing(), "-f", FILE, "config"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "COMPOSE_PROFILES": "renew"},
    )
    assert done.returncode == 0, done.stderr
    assert set(yaml.safe_load(done.stdout)["services"]) == set(SERVICES)


@pytest.mark.rabbitmq
@pytest.mark.skipif(not may_separate(), reason="a network and files of one's own need root")
async def test_in_the_order_of_the_file_all_come_up_and_a_renewal_is_rotated(tmp_path: Path) -> None:
    require(str(SERVER))
    async with engine(FILE, tmp_path) as own:
        assert await own.run("prepare") == (0, "Keys and passwords are made.\n")
        made = {path: path.read_bytes() for path in tmp_path.glob("*-secrets/*")}
        for name in ("rabbitmq", "sandbox", "worker"):
            await own.up(name)
        assert (await own.run("renew"))[0] == 0
        events: list[Any] = []
        while not events:
            events = json.loads((await own.run("worker", "history", "--json"))[1])
            await asyncio.sleep(0.2)
        assert (await own.run("prepare"))[0] == 0
    assert [one["data"]["outcome"] for one in events] == ["succeeded"]
    assert {path: path.read_bytes() for path in tmp_path.glob("*-secrets/*")} == made


@pytest.mark.skipif(not may_separate(), reason="a network and files of one's own need root")
async def test_what_is_secret_lies_where_its_reader_alone_has_it(tmp_path: Path) -> None:
    async with engine(FILE, tmp_path) as own:
        (tmp_path / "broker-secrets").mkdir()
        (tmp_path / "broker-secrets" / "server.key").write_text("of a run that was cut off")
        assert (await own.run("prepare"))[0] == 0
    for folder, private in (("worker", "worker.jwk"), ("producer", "acme-1.jwk")):
        files = {path.name: path for path in (tmp_path / f"{folder}-secrets").iterdir()}
        assert [name for name in files if name.endswith(".jwk") and ".pub." not in name] == [private]
        assert [files[name].stat().st_mode & 0o777 for name in (private, "amqp-url")] == [0o600, 0o600]
    users = json.loads((tmp_path / "broker-secrets" / "definitions.json").read_text())["users"]
    assert {one["name"] for one in users} == {"rotation-worker", "rotation-producer"}
    assert all(len(one["password_hash"]) == 48 and one["tags"] == [] for one in users)


@pytest.mark.parametrize("name", OURS)
def test_a_service_may_do_nothing_but_work(name: str) -> None:
    service = SERVICES[name]
    assert (service["read_only"], service["cap_drop"], service["security_opt"]) == (
        True,
        ["ALL"],
        ["no-new-privileges:true"],
    )
    assert not {"privileged", "user", "cap_add", "env_file", "devices", "pid", "ipc"} & set(service)
    assert not any("SECRET" in key or "PASS" in key or "URL" in key for key in service.get("environment", {}))


def test_nobody_but_this_host_is_let_in_and_the_broker_reaches_nobody() -> None:
    published = [port for one in SERVICES.values() for port in one.get("ports", ())]
    assert published == ["127.0.0.1:8080:8080"]
    assert COMPOSE["networks"]["private"] == {"internal": True}
    assert [name for name, one in SERVICES.items() if "outside" in one.get("networks", ())] == ["worker"]
    assert SERVICES["prepare"]["network_mode"] == "none"


def test_who_needs_another_one_waits_until_that_is_healthy_or_has_ended_well() -> None:
    for name, service in SERVICES.items():
        waits = {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        for other, condition in waits.items():
            is_one_shot = other in ONE_SHOTS
            assert condition == ("service_completed_successfully" if is_one_shot else "service_healthy"), name
            assert is_one_shot or "test" in SERVICES[other]["healthcheck"]


def test_every_volume_of_the_image_is_its_users_own() -> None:
    """What the image has in a volume's place decides whose that is."""
    [made] = re.findall(r"^RUN mkdir -p (.+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    there = {one.replace("/state", "/var/lib/rotation-worker") for one in made.split()}
    volumes = [volume.split(":") for name in OURS for volume in SERVICES[name]["volumes"]]
    written = {target for source, target, *how in volumes if source in COMPOSE["volumes"] and how != ["ro"]}
    assert written == there


def test_a_service_that_is_stopped_has_time_to_drain() -> None:
    from worker.settings import Settings  # noqa: PLC0415

    assert int(SERVICES["worker"]["stop_grace_period"].removesuffix("s")) > Settings().retry.drain_seconds
