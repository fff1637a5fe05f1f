"""Key files, and who may write them."""

from pathlib import Path

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
