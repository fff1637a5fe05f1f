"""What readers raise holds nothing of what they read: in no text, argument or note, and in no error behind it."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from joserfc import jwe
from yarl import URL

from tests.core.test_message import document
from tests.support.canary import told_by
from tests.support.clouds import message
from worker.core.errors import RotationError, TransientError
from worker.core.message import parse
from worker.core.renewal import InFiles
from worker.core.secret import Secret
from worker.gateways.bodies import parsed, read_as
from worker.gateways.exchange import exchange, http_client
from worker.gateways.huawei_apig.wire import CertificatePage
from worker.settings.errors import SettingsError
from worker.settings.loading import load
from worker.trust.files import read_material
from worker.trust.keys import KeyFile, KeyFileError, Recipients, Signers, kid_of, made, read_key
from worker.trust.opening import TrustPolicy, open_message
from worker.trust.sealing import seal, unseal
from worker.trust.signing import CONTENT_TYPE, Signing, sign

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
INPUT = "hX7kQ2mW9pZ4vT8rB3nD"
PARTS = [INPUT[at : at + 6] for at in range(len(INPUT) - 5)]


def held_by(read: Callable[..., object], *given: object, expected: type[Exception] = RotationError) -> list[str]:
    """What of the input is in the error that reading raises, if it does."""
    try:
        read(*given)
    except expected as error:
        told = told_by(error)
        return [part for part in PARTS if part in told]
    return []


def material(**fields: Any) -> dict[str, Any]:
    return document(data={"certificate": "shop", "material": fields})


DOCUMENTS: list[Any] = [
    *(document(**{name: INPUT}) for name in document()),
    *(document(**{name: INPUT}) for name in ("time", "datacontenttype", "dataschema", "Extension")),
    document(**{INPUT: 1}),
    document(data={"certificate": [INPUT], "material": {"kind": "held"}}),
    document(data={"certificate": "shop", "material": {"kind": "held"}, INPUT: INPUT}),
    document(data={"certificate": "shop", "material": {"kind": "held"}, "reason": INPUT}),
    material(kind=INPUT),
    material(kind="plain", chain_pem="chain", private_key_pem=[INPUT]),
    material(kind="plain", chain_pem="chain", private_key_pem=INPUT),
    material(kind="sealed", chain_pem="chain", private_key_jwe=INPUT * 7000),
    material(kind="file", chain="\x00", private_key=INPUT),
    material(kind="vault", path="a", version=INPUT),
    [INPUT],
    INPUT,
]
DAMAGES: list[Callable[[bytes, int], bytes]] = [
    lambda body, _at: body,
    lambda body, at: body[:at],
    lambda body, at: body[at:],
    lambda body, at: body[:at] + b"\xff" + body[at:],
    lambda body, at: body[:at] + b'"' + body[at:],
    lambda body, at: body[:at] + b"NaN" + body[at:],
    lambda body, at: body + body[:at],
    lambda body, _at: body.decode().encode("utf-16"),
]
damaged = st.builds(
    lambda content, damage, at: damage(json.dumps(content).encode(), at),
    st.sampled_from(DOCUMENTS),
    st.sampled_from(DAMAGES),
    st.integers(0, 400),
)


@given(damaged)
@example(json.dumps(INPUT).encode()[:-1])
@example(INPUT.encode() + b"\xff")
def test_of_a_message(body: bytes) -> None:
    assert held_by(parse, body) == []
    policy = TrustPolicy({"shop": frozenset({"acme"})})
    assert held_by(open_message, message(body), policy, NOW) == []


@given(damaged)
@example(json.dumps(INPUT).encode()[:-1])
@example(INPUT.encode() + b"\xff")
def test_of_a_clouds_answer(body: bytes) -> None:
    assert held_by(parsed, body, 200) == []
    with suppress(RotationError):
        answer = parsed(body, 200)
        assert held_by(read_as, CertificatePage, answer) == []


def test_of_an_answer_of_another_form() -> None:
    for answer in (INPUT, [INPUT], {"certs": INPUT}, {"total": INPUT, "certs": [{"id": INPUT}]}):
        assert held_by(read_as, CertificatePage, answer) == []
        with pytest.raises(TransientError):
            read_as(CertificatePage, answer)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    made(folder, "worker", signs=False)
    made(folder, "acme", signs=True)
    return folder


@given(body=damaged, at=st.integers(0, 1000), damage=st.sampled_from(DAMAGES[:5]), is_inside=st.booleans())
def test_of_a_signed_message(
    keys: Path, body: bytes, at: int, damage: Callable[[bytes, int], bytes], is_inside: bool
) -> None:
    signing = Signing("acme", read_key(keys / "acme.jwk", is_private=True, signs=True), "rotation-worker", 3600)
    policy = TrustPolicy({"shop": frozenset({"acme"})}, signers=Signers.at({"acme": keys / "acme.pub.jwk"}))
    signed = sign(body, signing, NOW)
    sent = message(signed if is_inside else damage(INPUT.encode() + signed, at), content_type=CONTENT_TYPE)
    assert held_by(open_message, sent, policy, NOW) == []


@given(at=st.integers(0, 1000), damage=st.sampled_from(DAMAGES[:7]))
def test_of_a_sealed_key(keys: Path, at: int, damage: Callable[[bytes, int], bytes]) -> None:
    private = read_key(keys / "worker.jwk", is_private=True, signs=False)
    recipients = Recipients.at([keys / "worker.jwk"])
    plain = damage(json.dumps({"certificate": INPUT, "renewal_id": INPUT, "private_key_pem": INPUT}).encode(), at)
    header = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "kid": kid_of(private)}
    sealed = jwe.encrypt_compact(header, plain, private)
    assert held_by(unseal, Secret(sealed), "shop", "r1", recipients) == []
    outside = damage(INPUT.encode() + seal(Secret(INPUT), "shop", "r1", private).encode(), at).decode("latin-1")
    assert held_by(unseal, Secret(outside), "shop", "r1", recipients) == []


@pytest.mark.parametrize("content", [b"\xff", b"\xff" * 70_000, b"x" * 70_000], ids=["no text", "long", "text"])
def test_of_files(tmp_path: Path, content: bytes) -> None:
    for name in ("chain", "key"):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_bytes(INPUT.encode() + content)
    for files in (InFiles("chain", "key"), InFiles(INPUT, "key"), InFiles(f"chain/{INPUT}", "key")):
        assert held_by(read_material, files, [tmp_path]) == []
        with pytest.raises(RotationError):
            read_material(files, [tmp_path])


@pytest.mark.parametrize("content", [f'{{"kty": "{INPUT}"}}', f'"{INPUT}', f'{{"kty": "EC", "d": "{INPUT}"}}', INPUT])
def test_of_a_key_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "worker.jwk").touch(mode=0o600)
    (tmp_path / "worker.jwk").write_text(content)
    file = KeyFile(tmp_path / "worker.jwk", is_private=True, signs=False)
    assert held_by(file.key, expected=KeyFileError) == []
    assert held_by(Recipients([file]).keys, None) == []
    with pytest.raises(KeyFileError):
        file.key()


@pytest.mark.parametrize(
    "content",
    [
        f'[broker]\nurl = "{INPUT}',
        f'[broker]\nprefetch = "{INPUT}"',
        f'[broker]\nurl = "amqp://user:{INPUT}@rabbit.example.com/"',
        f'[broker]\nurl = "{INPUT}"\nurl = "{INPUT}"',
    ],
)
def test_of_settings(tmp_path: Path, content: str) -> None:
    (tmp_path / "worker.toml").write_text(content)
    assert held_by(load, tmp_path / "worker.toml", {}, expected=SettingsError) == []
    with pytest.raises(SettingsError):
        load(tmp_path / "worker.toml", {})


@pytest.mark.parametrize(
    "answer",
    [
        f"HTTP/1.1 {INPUT}\r\n\r\n",
        f"{INPUT}\r\n\r\n",
        f"HTTP/1.1 200 OK\r\n{INPUT}\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nContent-Length: {INPUT}\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{INPUT}",
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{INPUT}\r\n",
    ],
    ids=["status", "no HTTP", "header", "length", "cut", "chunk"],
)
async def test_of_what_came_over_the_wire_and_of_the_token_that_was_sent(answer: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer.encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server, http_client(None, 10) as client:
        url = URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        with pytest.raises(TransientError) as told:
            await exchange(client, "PUT", url, {"X-Auth-Token": INPUT}, INPUT.encode())
    assert [part for part in PARTS if part in told_by(told.value)] == []
