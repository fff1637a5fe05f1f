"""Key files, and who may write them."""

import json
from pathlib import Path
from typing import Any

import pytest

from worker.trust.keys import KeyFile, KeyFileError, made, problem_of, read_key


@pytest.mark.parametrize("mode", [0o666, 0o646, 0o602])
def test_a_public_key_that_everybody_may_replace_is_nobodys(tmp_path: Path, mode: int) -> None:
    _, public = made(tmp_path, "acme-1", signs=True)
    public.chmod(mode)
    with pytest.raises(KeyFileError, match="can be written by everybody"):
        read_key(public, is_private=False, signs=True)
    public.chmod(0o664)
    assert problem_of(public, is_private=False, signs=True) is None


def test_a_private_key_that_everybody_may_read_by_now_is_not_used_any_more(tmp_path: Path) -> None:
    private, _ = made(tmp_path, "worker", signs=False)
    file = KeyFile(private, is_private=True, signs=False)
    key = file.key()
    private.chmod(0o644)
    with pytest.raises(KeyFileError, match="can be read by everybody"):
        file.key()
    private.chmod(0o600)
    assert file.key().thumbprint() == key.thumbprint()


@pytest.mark.parametrize("signs", [True, False])
def test_a_private_key_is_no_public_one(tmp_path: Path, signs: bool) -> None:
    private, public = made(tmp_path, "acme-1", signs=signs)
    problem = "holds a private key; here belongs the public one"
    assert problem_of(private, is_private=False, signs=signs) == problem
    assert problem_of(public, is_private=False, signs=signs) is None
    assert problem_of(private, is_private=True, signs=signs) is None


def with_members(path: Path, **members: Any) -> Path:
    path.write_text(json.dumps(json.loads(path.read_text()) | members))
    return path


@pytest.mark.parametrize(
    ("signs", "members"),
    [
        (True, {"use": "sig", "key_ops": ["verify"], "alg": "EdDSA"}),
        (True, {"alg": "Ed25519", "key_ops": ["sign", "verify"]}),
        (False, {"use": "enc", "key_ops": [], "alg": "ECDH-ES+A256KW"}),
        (False, {"key_ops": ["deriveKey", "deriveBits"]}),
        (True, {"x5u": "https://example.com/", "x5c": ["MII"], "x5t": "AA", "x5t#S256": "AA", "kid": "acme"}),
    ],
)
def test_a_public_key_may_say_what_the_standards_have_for_it(
    tmp_path: Path, members: dict[str, Any], *, signs: bool
) -> None:
    _, public = made(tmp_path, "acme-1", signs=signs)
    assert problem_of(with_members(public, **members), is_private=False, signs=signs) is None


@pytest.mark.parametrize(
    ("signs", "members", "problem"),
    [
        (True, {"use": "enc"}, "use: not that of a key that verifies signatures"),
        (False, {"use": "sig"}, "use: not that of a key that is sealed to"),
        (True, {"use": ["sig"]}, "use: not that of a key that verifies signatures"),
        (True, {"alg": "HS256"}, "alg: not that of a key that verifies signatures"),
        (False, {"alg": "ECDH-ES"}, "alg: not that of a key that is sealed to"),
        (False, {"alg": {}}, "alg: not that of a key that is sealed to"),
        (True, {"key_ops": ["sign"]}, "key_ops: not those of a key that verifies signatures"),
        (True, {"key_ops": []}, "key_ops: not those of a key that verifies signatures"),
        (True, {"key_ops": ["verify", "encrypt"]}, "key_ops: not those of a key that verifies signatures"),
        (False, {"key_ops": ["verify"]}, "key_ops: not those of a key that is sealed to"),
        (False, {"key_ops": "deriveKey"}, "key_ops: not those of a key that is sealed to"),
        (False, {"key_ops": [["deriveKey"]]}, "key_ops: not those of a key that is sealed to"),
        (True, {"y": "AA", "secret": "AA"}, "members that are none of a public JWK's: 2"),
        (False, {"exp": 1}, "members that are none of a public JWK's: 1"),
        (False, {"k": "AA"}, "holds a private key; here belongs the public one"),
        (True, {"p": "AA"}, "holds a private key; here belongs the public one"),
    ],
)
def test_a_public_key_with_a_word_against_its_use_or_with_something_else_in_it_is_refused(
    tmp_path: Path, members: dict[str, Any], problem: str, *, signs: bool
) -> None:
    _, public = made(tmp_path, "acme-1", signs=signs)
    assert problem_of(with_members(public, **members), is_private=False, signs=signs) == problem


@pytest.mark.parametrize("member", ["kid", "x5u", "x5t#S256"])
@pytest.mark.parametrize("signs", [False, True])
def test_a_public_key_whose_other_members_are_its_private_half_is_refused(
    tmp_path: Path, member: str, *, signs: bool
) -> None:
    private, public = made(tmp_path, "acme-1", signs=signs)
    number = json.loads(private.read_text())["d"]
    told = f"{member}: holds a private key; here belongs the public one"
    assert problem_of(with_members(public, **{member: number}), is_private=False, signs=signs) == told


def test_a_public_key_with_a_private_one_among_its_certificates_is_refused(tmp_path: Path) -> None:
    _, public = made(tmp_path, "acme-1", signs=True)
    with_members(public, x5c=["MII", "-----BEGIN PRIVATE KEY-----"])
    told = "x5c: holds a private key; here belongs the public one"
    assert problem_of(public, is_private=False, signs=True) == told


@pytest.mark.parametrize("is_private", [False, True])
def test_a_key_file_in_which_a_name_stands_twice_is_no_key(tmp_path: Path, *, is_private: bool) -> None:
    path = made(tmp_path, "acme-1", signs=True)[0 if is_private else 1]
    path.write_text(path.read_text().replace("{", '{"crv": "Ed25519", ', 1))
    assert problem_of(path, is_private=is_private, signs=True) == "no JWK of a kind that is used here"
