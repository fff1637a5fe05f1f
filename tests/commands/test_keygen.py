"""`rotation-worker keygen`, and a renewal that travels with what it made: sealed and signed."""

import json
import tomllib
from pathlib import Path

import pytest

from tests.commands.processes import run
from tests.support.clouds import running, settings_for
from tests.worker.test_sweep import AUTHORITY, Shop, issued
from worker.sandbox import Sandbox
from worker.settings import Settings


async def test_pairs_are_written_with_their_modes_and_never_over_others(tmp_path: Path) -> None:
    words = ("keygen", "worker", "--folder", tmp_path / "keys", "--json")
    status, said, _ = await run(*words)
    private, public = (Path(json.loads(said)[name]) for name in ("private", "public"))
    assert (status, private.stat().st_mode & 0o777, public.stat().st_mode & 0o777) == (0, 0o600, 0o644)
    assert "d" in json.loads(private.read_text())
    assert "d" not in json.loads(public.read_text())
    before = private.read_bytes()
    status, said, _ = await run(*words)
    assert (status, json.loads(said)["error"]["reason"]) == (1, "file_exists")
    assert private.read_bytes() == before


@pytest.mark.parametrize("words", [("worker", "name"), ("producer",), ("producer", "../x"), ("producer", "")])
async def test_what_it_cannot_make_is_wrong_use(words: tuple[str, ...], tmp_path: Path) -> None:
    status, _, complained = await run("keygen", *words, "--folder", tmp_path / "keys")
    assert (status, "keygen worker" in complained) == (64, True)
    assert not (tmp_path / "keys").exists()


async def test_what_it_prints_can_be_pasted_whatever_the_name(tmp_path: Path) -> None:
    folder = tmp_path / 'a "b" \\c'
    status, said, _ = await run("keygen", "producer", "acme.1", "--folder", folder)
    pasted = tomllib.loads(said.partition("\n\n")[2])
    public = str(folder / "acme.1.pub.jwk")
    assert (status, pasted["trust"]["producers"]) == (0, {"acme.1": {"public_key": public}})
    status, said, _ = await run("keygen", "worker", "--folder", folder)
    assert tomllib.loads(said.partition("\n\n")[2])["publish"]["recipient_key"] == str(folder / "worker.pub.jwk")


@pytest.mark.parametrize("name", ["acme-1.jwk", "acme-1.pub.jwk"])
async def test_a_link_that_leads_nowhere_is_there_already_and_no_half_pair_is_left(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to("nowhere")
    status, _, complained = await run("keygen", "producer", "acme-1", "--folder", tmp_path)
    assert (status, f"{tmp_path / name}: is there already" in complained) == (1, True)
    assert [one.name for one in tmp_path.iterdir()] == [name]


async def test_a_renewal_travels_sealed_and_signed_and_is_rotated(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        shop, renewed, keys = Shop(sandbox, tmp_path), issued(), tmp_path / "keys"
        for words in (("worker",), ("producer", "acme-1")):
            status, said, _ = await run("keygen", *words, "--folder", keys)
            assert (status, "\n[publish]\n" in said) == (0, True)
        shop.lie(renewed)
        config = tmp_path / "publish.toml"
        config.write_text(
            f'[broker]\nurl = "sqlite:///{tmp_path}/broker.sqlite"\n[publish]\nspool = "spool"\nproducer = "acme-1"\n'
            f'producer_key = "{keys}/acme-1.jwk"\nrecipient_key = "{keys}/worker.pub.jwk"\n'
        )
        settings = settings_for(
            sandbox,
            AUTHORITY,
            tmp_path,
            {"shop": ({"gateway": "apig", "certificate_id": shop.certificate, "domains": "attached"},)},
            trust={
                "ca_bundle": str(tmp_path / "roots.pem"),
                "require_signature": True,
                "recipient_keys": (keys / "worker.jwk",),
                "producers": {"acme-1": {"public_key": keys / "acme-1.pub.jwk"}},
            },
        )
        fields = settings.model_dump(by_alias=True)
        fields["certificates"]["shop"]["producers"] = ("acme-1",)
        files = ("--chain", shop.folder / "chain.pem", "--key", shop.folder / "key.pem")
        assert (await run("publish", "shop", *files, "--config", config))[0] == 0
        lines = [line for line in renewed.private_key_pem.splitlines() if "-----" not in line]
        stored = b"".join(file.read_bytes() for file in tmp_path.glob("broker.sqlite*"))
        assert not any(line.encode() in stored for line in lines)
        async with running(Settings.model_validate(fields)) as worker:
            event = (await worker.outcomes(1))[0]
    assert (event["data"]["outcome"], event["data"]["leaf"]["serial_number"]) == (
        "succeeded",
        str(renewed.serial_number),
    )
