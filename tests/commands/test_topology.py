"""`topology export`: whose users it prints, and for which broker."""

import json
from pathlib import Path

import pytest

from tests.commands.processes import run
from tests.settings.files import GATEWAYS, certificate, in_place, written

SHOP = GATEWAYS + certificate(in_place()).replace('["acme-1"]', '["acme-1", "acme-2"]')
SIGNED = '[trust.producers.acme-1]\npublic_key = "acme-1.pub.jwk"\n'


@pytest.mark.parametrize(
    ("trust", "unsigned"),
    [("", ["acme-1", "acme-2"]), (SIGNED, ["acme-2"]), ("[trust]\nrequire_signature = true\n", [])],
)
async def test_who_signs_nothing_is_a_user_of_the_name_that_the_settings_list(
    tmp_path: Path, trust: str, unsigned: list[str]
) -> None:
    ended, said, _ = await run("topology", "export", "--config", written(tmp_path, SHOP + trust))
    assert ended == 0
    users = [one["name"] for one in json.loads(said)["users"]]
    assert users == ["rotation-worker", "rotation-producer", *unsigned]


async def test_the_embedded_broker_has_no_definitions(tmp_path: Path) -> None:
    settings = written(tmp_path, '[broker]\nurl = "sqlite:///queue.db"\n')
    ended, said, complaints = await run("topology", "export", "--config", settings)
    told, following = complaints.splitlines()
    assert (ended, said, told) == (78, "", "rotation-worker: broker.url: the embedded broker has no definitions")
    assert following.startswith("next: name RabbitMQ's URL with ROTATION_BROKER__URL")
    rabbit = ("env", "ROTATION_BROKER__URL=amqps://worker@broker.example.com/rotation")
    ended, said, _ = await run("topology", "export", "--config", settings, before=rabbit)
    assert (ended, [one["name"] for one in json.loads(said)["vhosts"]]) == (0, ["rotation"])
