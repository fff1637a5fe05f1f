"""`topology export`: whose users it prints."""

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
