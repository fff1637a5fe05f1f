"""With `--json` every refusal is one document on stdout, and the exit status stays what it is."""

import json
from pathlib import Path

import pytest

from tests.commands.processes import run
from tests.publish.lineages import renewed
from tests.settings.files import APIG, certificate, in_place, written

SETTINGS = APIG + certificate(in_place())
AWAY = '[broker]\nurl = "amqp://127.0.0.1:1/"\n'


@pytest.mark.parametrize(
    ("words", "settings", "status", "reason"),
    [
        ("plan nothing", SETTINGS, 78, "settings"),
        ("plan shop", SETTINGS.replace("[gateways", "foo = 1\n[gateways"), 78, "settings"),
        ("rotate nothing", SETTINGS, 78, "settings"),
        ("sweep nothing", SETTINGS, 78, "settings"),
        ("discover nothing", SETTINGS, 78, "settings"),
        ("discover apig-main", SETTINGS, 1, "auth_failed"),
        ("history", "foo = 1", 78, "settings"),
        ("history", AWAY, 69, "broker_unavailable"),
        ("dead list", AWAY, 69, "broker_unavailable"),
        ("topology export", "foo = 1", 78, "settings"),
        ("topology apply", AWAY, 69, "broker_unavailable"),
        ("publish shop", SETTINGS, 64, "usage"),
    ],
)
async def test_a_refusal_is_one_document(tmp_path: Path, words: str, settings: str, status: int, reason: str) -> None:
    ended, said, _ = await run(*words.split(), "--json", "--config", written(tmp_path, settings))
    error = json.loads(said)["error"]
    assert (ended, error["reason"]) == (status, reason)
    assert error["message"]


async def test_what_check_finds_is_one_document(tmp_path: Path) -> None:
    ended, said, _ = await run("check", "--json", "--config", written(tmp_path, '[broker]\nurl_file = "none"'))
    assert ended == 78
    assert json.loads(said)[0] == {
        "what": "settings",
        "is_good": False,
        "message": "broker.url_file: No such file or directory",
        "is_known": True,
        "next": "correct it there, and check again",
    }


async def test_files_that_are_refused_are_told_in_the_same_way(tmp_path: Path) -> None:
    lineage, path = renewed(tmp_path), written(tmp_path, SETTINGS)
    files = ("--chain", lineage.chain, "--key", lineage.private_key)
    ended, said, _ = await run("plan", "shop", *files, "--json", "--config", path)
    assert (ended, json.loads(said)["error"]["reason"]) == (1, "chain_untrusted")
    ended, said, _ = await run("rotate", "shop", *files, "--json", "--config", path)
    report = json.loads(said)
    assert (ended, report["outcome"], report["reason"]) == (1, "failed", "chain_untrusted")
    ended, said, _ = await run("plan", "shop", *files, "--config", path)
    assert (ended, said[:26]) == (1, "refused: chain_untrusted: ")
