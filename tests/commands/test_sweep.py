"""`rotation-worker sweep`: one pass over what lies on disk."""

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.commands.processes import run
from tests.support.clouds import renewal, running
from tests.support.ports import free_port
from tests.worker.test_sweep import Shop, issued
from worker.broker.base import BrokerError
from worker.commands.sweep import Pass, Swept, each
from worker.sandbox import Sandbox
from worker.sandbox.world import Fault
from worker.settings import Settings
from worker.settings.loading import load
from worker.sweep import Finding

HEAD = """
[trust]
ca_bundle = "{folder}/roots.pem"
[trust.roots]
files = ["{folder}/live"]
[gateways.apig]
kind = "huawei_apig"
endpoint = "{endpoint}"
project_id = "{project_id}"
auth = {auth}
[certificates.shop]
producers = ["acme"]
[[certificates.shop.deployments]]
gateway = "apig"
certificate_id = "{certificate}"
domains = "attached"
[certificates.bare]
producers = ["acme"]
[[certificates.bare.deployments]]
gateway = "apig"
certificate_id = "0123456789abcdef0123456789abcdef"
domains = "attached"
"""
LINEAGE = """
[certificates.shop.lineage]
chain = "chain.pem"
private_key = "key.pem"
"""


def written(shop: Shop, folder: Path, *, with_lineage: bool = True) -> Path:
    gateway = shop.settings.model_dump(mode="json")["gateways"]["apig"]
    auth = ", ".join(f"{name} = {json.dumps(value)}" for name, value in gateway["auth"].items())
    facts = {"endpoint": gateway["endpoint"], "project_id": gateway["project_id"], "auth": "{" + auth + "}"}
    path = folder / "worker.toml"
    path.write_text(HEAD.format(folder=folder, certificate=shop.certificate, **facts) + LINEAGE * with_lineage)
    return path


async def test_what_is_behind_is_rotated_and_then_current(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop = Shop(sandbox, tmp_path)
        shop.lie(issued())
        words = ("sweep", "--json", "--config", written(shop, tmp_path))
        first, again = await run(*words), await run(*words, "shop")
    assert (first[0], again[0]) == (0, 0), first[2]
    told: dict[str, str | None] = {
        "certificate": "shop",
        "found": "behind",
        "outcome": "succeeded",
        "reason": "rotated",
        "message": None,
        "next": None,
    }
    assert json.loads(first[1]) == [told]
    assert json.loads(again[1]) == [{**told, "found": "current", "outcome": None, "reason": None}]


async def test_what_fails_is_named_and_is_the_exit_status(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop = Shop(sandbox, tmp_path)
        shop.world.faults.append(Fault("show_certificate", status=403, times=99))
        status, said, _ = await run("sweep", "shop", "--config", written(shop, tmp_path))
    assert status == 1
    assert "shop" in said
    assert "forbidden" in said


def test_what_was_rolled_back_is_told_with_what_there_is_to_do() -> None:
    one = Swept(Finding("shop", "rolled_back"))
    assert not one.is_good
    assert "rotation-worker dead replay" in str(one.message)


async def test_a_broker_that_cannot_be_asked_is_named_and_nothing_is_changed(tmp_path: Path) -> None:
    """A worker may be at work, and what lies on disk have been taken back."""
    async with Sandbox() as sandbox:
        shop = Shop(sandbox, tmp_path)
        shop.lie(issued())
        config = written(shop, tmp_path)
        text = config.read_text()
        for url in (f"amqp://127.0.0.1:{free_port()}/", f"sqlite:///{tmp_path}/none.db"):
            config.write_text(f'[broker]\nurl = "{url}"\n' + text)
            status, told, complained = await run("sweep", "--json", "--config", config)
            assert (status, json.loads(told)["error"]["reason"]) == (69, "broker_unavailable")
            assert "nothing is swept" in complained
        assert (shop.changes(), (tmp_path / "none.db").exists()) == (0, False)


async def test_the_default_broker_is_one_that_is_named_where_the_settings_say_so(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        config = written(Shop(sandbox, tmp_path), tmp_path)
        assert not load(config, {}).names_broker
        assert load(config, {"ROTATION_BROKER__PREFETCH": "32"}).names_broker
        config.write_text('[broker]\nurl = "amqp://guest:guest@127.0.0.1:5672/"\n' + config.read_text())
        assert load(config, {}).names_broker


class Eventful:
    """A sweeper of certificates whose names say what befalls the look at them."""

    async def look_back(self, name: str, _past: object) -> Finding:
        if name == "unread":
            raise BrokerError("the history is away")
        if name == "bug":
            raise KeyError(name)
        await asyncio.sleep(0.01)
        return Finding(name, "current")


async def test_what_befalls_one_certificate_stops_no_other() -> None:
    eventful: Any = Eventful()
    swept = await each(["bug", "sound", "unread"], Pass(eventful, None).over, lambda _swept: None)
    assert [one.reason for one in swept] == ["internal_error", None, "broker_unavailable"]
    assert [one.finding.state for one in swept] == ["failed", "current", "failed"]


async def test_one_without_a_lineage_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop = Shop(sandbox, tmp_path)
        config = written(shop, tmp_path, with_lineage=False)
        (status, _, complained), none = (
            await run("sweep", "bare", "--config", config),
            await run("sweep", "--config", config),
        )
    assert (status, "certificates.bare.lineage" in complained) == (78, True)
    assert (none[0], none[1]) == (0, "No certificate has a lineage.\n")


async def test_where_a_worker_is_at_work_that_one_rotates_and_it_is_told(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop = Shop(sandbox, tmp_path)
        config = written(shop, tmp_path)
        url = f"sqlite:///{tmp_path}/broker.db"
        config.write_text(f'[broker]\nurl = "{url}"\n' + config.read_text())
        settings = shop.settings.model_dump(by_alias=True)
        broker = {**settings["broker"], "url": url, "url_file": None}
        every = {"every_seconds": 3600}
        async with running(Settings.model_validate({**settings, "broker": broker, "sweep": every})) as worker:
            await worker.outcome(renewal(shop.stored))
            shop.lie(issued())
            status, out, err = await run("sweep", "--json", "--config", config)
            [_, event] = await worker.outcomes(2)
        assert status == 0, err
        [told] = json.loads(out)
        assert (told["found"], told["outcome"], told["reason"]) == ("behind", "succeeded", "rotated")
        assert event["data"]["renewal_id"].startswith("sweep-")
