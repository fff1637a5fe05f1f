"""Sealed keys open for the worker, for their certificate and for their renewal, and nowhere else."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwe import JWERegistry
from joserfc.jwk import ECKey, OctKey, OKPKey

from worker.core.errors import RefusedError, TransientError
from worker.core.secret import Secret
from worker.trust.keys import Key, KeyFile, Recipients, made, read_key
from worker.trust.sealing import seal, unseal

KEY = Secret("-----BEGIN PRIVATE KEY-----\nMIG\n-----END PRIVATE KEY-----\n")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return made(tmp_path_factory.mktemp("keys"), "worker", signs=False)


def sealed(pair: tuple[Path, Path], certificate: str = "shop", renewal_id: str = "r1") -> str:
    return seal(KEY, certificate, renewal_id, read_key(pair[1], is_private=False, signs=False))


def refusal(text: str, *files: Path, certificate: str = "shop", renewal_id: str = "r1") -> str:
    with pytest.raises(RefusedError) as caught:
        unseal(Secret(text), certificate, renewal_id, Recipients.at(files))
    assert caught.value.__cause__ is None
    assert "PRIVATE" not in str(caught.value)
    return caught.value.reason


def test_what_is_sealed_to_the_worker_opens(pair: tuple[Path, Path]) -> None:
    text = sealed(pair)
    assert "PRIVATE" not in text
    assert unseal(Secret(text), "shop", "r1", Recipients.at([pair[0]])) == KEY


def test_an_older_key_still_opens_what_was_sealed_to_it(pair: tuple[Path, Path], tmp_path: Path) -> None:
    newer, _ = made(tmp_path, "worker", signs=False)
    assert unseal(Secret(sealed(pair)), "shop", "r1", Recipients.at([newer, pair[0]])) == KEY
    assert refusal(sealed(pair), newer) == "cannot_decrypt"


def test_another_key_file_that_is_gone_keeps_nothing_shut(pair: tuple[Path, Path], tmp_path: Path) -> None:
    gone, public = made(tmp_path, "worker", signs=False)
    gone.unlink()
    for files in ([pair[0], gone], [gone, pair[0]]):
        assert unseal(Secret(sealed(pair)), "shop", "r1", Recipients.at(files)) == KEY
        with pytest.raises(TransientError, match="recipient_keys") as caught:
            unseal(Secret(sealed((gone, public))), "shop", "r1", Recipients.at(files))
        assert caught.value.reason == "key_file_unreadable"


def test_a_key_that_is_rolled_over_needs_no_restart(tmp_path: Path) -> None:
    private, public = made(tmp_path, "worker", signs=False)
    recipients = Recipients.at([private])
    before = sealed((private, public))
    assert unseal(Secret(before), "shop", "r1", recipients) == KEY
    private.unlink()
    public.unlink()
    made(tmp_path, "worker", signs=False)
    assert unseal(Secret(sealed((private, public))), "shop", "r1", recipients) == KEY
    with pytest.raises(RefusedError):
        unseal(Secret(before), "shop", "r1", recipients)


def test_it_opens_for_no_other_certificate_and_no_other_renewal(pair: tuple[Path, Path]) -> None:
    assert refusal(sealed(pair), pair[0], certificate="other") == "envelope_mismatch"
    assert refusal(sealed(pair), pair[0], renewal_id="r2") == "envelope_mismatch"


def test_a_key_file_that_cannot_be_read_is_worth_another_try(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(TransientError) as caught:
        unseal(Secret(sealed(pair)), "shop", "r1", Recipients.at([tmp_path / "none.jwk"]))
    assert caught.value.reason == "key_file_unreadable"


def with_header(text: str, **changes: Any) -> str:
    encoded, rest = text.split(".", 1)
    header = json.loads(base64.urlsafe_b64decode(encoded + "=="))
    changed = json.dumps({**header, **changes}).encode()
    return f"{base64.urlsafe_b64encode(changed).decode().rstrip('=')}.{rest}"


@pytest.mark.parametrize(
    "changes",
    [
        {"zip": "DEF"},
        {"alg": "dir"},
        {"alg": "RSA-OAEP"},
        {"alg": "PBES2-HS256+A128KW", "p2c": 10_000_000, "p2s": "AA"},
        {"enc": "A128CBC-HS256"},
        {"crit": ["exp"], "exp": 1},
        {"apu": "x" * 9000},
    ],
)
def test_other_envelopes_are_refused_before_they_cost_anything(
    changes: dict[str, Any], pair: tuple[Path, Path]
) -> None:
    text, tried = with_header(sealed(pair), **changes), Tried()
    with pytest.raises(RefusedError) as caught:
        unseal(Secret(text), "shop", "r1", tried)
    assert (caught.value.reason, tried.times) == ("cannot_decrypt", 0)


@dataclass(frozen=True)
class Tried(Recipients):
    """Counts how often somebody wants the worker's keys: whoever does agrees on a key with each."""

    asked: list[str | None] = field(default_factory=list)

    @property
    def times(self) -> int:
        return len(self.asked)

    def keys(self, kid: str | None) -> Sequence[Key]:
        self.asked.append(kid)
        return super().keys(kid)


def soundly_sealed(pair: tuple[Path, Path], **changes: Any) -> str:
    """By a library that is asked for more than the worker allows: it would open for who asks no questions."""
    names = ["ECDH-ES+A256KW", "ECDH-ES+A128KW", "ECDH-ES", "A256GCM", "A128CBC-HS256", "DEF"]
    header = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", **changes}
    bound = {"certificate": "shop", "renewal_id": "r1", "private_key_pem": KEY.reveal()}
    public = read_key(pair[1], is_private=False, signs=False)
    registry = JWERegistry(algorithms=names, strict_check_header=False)
    return jwe.encrypt_compact(header, json.dumps(bound).encode(), public, registry=registry)


def test_what_is_sealed_soundly_opens_only_in_the_one_way_that_is_allowed(pair: tuple[Path, Path]) -> None:
    assert unseal(Secret(soundly_sealed(pair)), "shop", "r1", Recipients.at([pair[0]])) == KEY


@pytest.mark.parametrize(
    "changes",
    [
        {"zip": "DEF"},
        {"alg": "ECDH-ES"},
        {"alg": "ECDH-ES+A128KW"},
        {"enc": "A128CBC-HS256"},
        {"jku": "https://elsewhere.example/keys"},
        {"apu": "x" * 9000},
    ],
)
def test_what_is_sealed_soundly_in_another_way_is_refused_untried(
    changes: dict[str, Any], pair: tuple[Path, Path]
) -> None:
    tried = Tried(Recipients.at([pair[0]]).files)
    with pytest.raises(RefusedError) as caught:
        unseal(Secret(soundly_sealed(pair, **changes)), "shop", "r1", tried)
    assert (caught.value.reason, tried.times) == ("cannot_decrypt", 0)


@pytest.mark.parametrize(
    "changes", [{"kid": 7}, {"epk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}, {"epk": None}]
)
def test_an_envelope_without_a_point_of_its_own_is_refused(changes: dict[str, Any], pair: tuple[Path, Path]) -> None:
    assert refusal(with_header(sealed(pair), **changes), pair[0]) == "cannot_decrypt"


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c.d.e", "....", "e30.e30.e30.e30.e30", "\ud800", "é.a.b.c.d"])
def test_what_is_no_envelope_is_refused(text: str, pair: tuple[Path, Path]) -> None:
    assert refusal(text, pair[0]) == "cannot_decrypt"


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"{" * 5000, b'{"certificate": "shop", "renewal_id": "r1", "private_key_pem": 7}']
)
def test_something_else_sealed_to_the_worker_is_refused(content: bytes, pair: tuple[Path, Path]) -> None:
    registry = JWERegistry(algorithms=["ECDH-ES+A256KW", "A256GCM"])
    header = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM"}
    public = read_key(pair[1], is_private=False, signs=False)
    assert refusal(jwe.encrypt_compact(header, content, public, registry=registry), pair[0]) == "cannot_decrypt"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_bit_of_it_can_be_changed(data: st.DataObject, pair: tuple[Path, Path]) -> None:
    text = sealed(pair)
    at = data.draw(st.integers(0, 2000)) % len(text)
    other = data.draw(st.sampled_from("AQgw_-9."))
    assume(other != text[at])
    changed = text[:at] + other + text[at + 1 :]
    try:
        opened = unseal(Secret(changed), "shop", "r1", Recipients.at([pair[0]]))
    except RefusedError as error:
        assert error.reason == "cannot_decrypt"  # noqa: PT017
    else:
        # The last character of a part may carry bits that mean nothing.
        assert opened == KEY
        assert text[at + 1 : at + 2] in (".", "")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no JWK"),
        (b"[1]", "no JWK"),
        (b"{" * 9000, "no JWK"),
        (json.dumps(OctKey.generate_key(256).as_dict()).encode(), "no JWK"),
        (json.dumps(OKPKey.generate_key("Ed25519", private=True).as_dict(private=True)).encode(), "neither an EC"),
        (json.dumps(ECKey.generate_key("secp256k1", private=True).as_dict(private=True)).encode(), "neither an EC"),
        (json.dumps(ECKey.generate_key("P-256", private=True).as_dict(private=False)).encode(), "no private key"),
    ],
    ids=["empty", "list", "nested", "oct", "ed25519", "secp256k1", "public"],
)
def test_another_file_is_no_key(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "worker.jwk"
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(Exception, match=told):
        read_key(path, is_private=True, signs=False)


class Exhausted(ECKey):
    """With which nothing can be computed, because there is no memory for it."""

    def exchange_derive_key(self, key: ECKey) -> bytes:
        raise MemoryError


def test_a_full_memory_is_no_word_about_the_envelope(pair: tuple[Path, Path]) -> None:
    file = KeyFile(pair[0], is_private=True, signs=False)
    file._key = Exhausted.import_key(file.key().as_dict(private=True))
    with pytest.raises(MemoryError):
        unseal(Secret(sealed(pair)), "shop", "r1", Recipients([file]))
