"""`rotation-worker check` refuses whatever `run` would refuse at its start, in the same words."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.commands.processes import run
from tests.settings.files import written
from worker.sandbox.ca import Authority

ONE, OTHER = (Authority.create().issue(["localhost"]) for _ in range(2))


def short_token(folder: Path) -> str:
    return f'token_file = "{written(folder, "short", "token")}"'


def two_lines(folder: Path) -> str:
    text = "a token\nof two lines and more"
    return f'token_file = "{written(folder, text, "token")}"'


def another_key(folder: Path) -> str:
    chain, key = written(folder, ONE.chain_pem, "chain"), written(folder, OTHER.private_key_pem, "key")
    return f'cert_file = "{chain}"\nkey_file = "{key}"'


def no_authority(folder: Path) -> str:
    files = [written(folder, text, name) for text, name in ((ONE.chain_pem, "chain"), (ONE.private_key_pem, "key"))]
    return f'cert_file = "{files[0]}"\nkey_file = "{files[1]}"\nclient_ca_file = "{written(folder, "CA", "ca")}"'


def nothing(_folder: Path) -> str:
    return ""


@pytest.mark.parametrize(
    ("settings", "environ", "where"),
    [
        (short_token, (), "http.token_file: under 16 characters"),
        (two_lines, (), "http.token_file: "),
        (another_key, (), "http.cert_file, key_file, client_ca_file: cannot be used"),
        (no_authority, (), "http.cert_file, key_file, client_ca_file: cannot be used"),
        (nothing, ("OTEL_TRACES_EXPORTER=zipkin",), "OTEL_TRACES_EXPORTER: otlp and none are there"),
    ],
)
async def test_what_a_worker_would_not_start_with_is_found_before(
    tmp_path: Path, settings: Callable[[Path], str], environ: Sequence[str], where: str
) -> None:
    text = f'[broker]\nurl = "sqlite:///{tmp_path}/broker"\n[http]\nlisten = "127.0.0.1:0"\n{settings(tmp_path)}\n'
    path = written(tmp_path, text)
    status, said, _ = await run("check", "--json", "--config", path, before=("env", *environ))
    (finding,) = (one for one in json.loads(said) if not one["is_good"])
    assert status == 78
    assert finding["what"] == "settings"
    assert finding["message"].startswith(where)
    assert finding["next"]
    status, _, complained = await run("run", "--config", path, before=("env", *environ))
    assert (status, finding["message"] in complained) == (78, True)
