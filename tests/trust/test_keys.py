"""Key files, and who may write them."""

from pathlib import Path

import pytest

from worker.trust.keys import KeyFileError, made, problem_of, read_key


@pytest.mark.parametrize("mode", [0o666, 0o646, 0o602])
def test_a_public_key_that_everybody_may_replace_is_nobodys(tmp_path: Path, mode: int) -> None:
    _, public = made(tmp_path, "acme-1", signs=True)
    public.chmod(mode)
    with pytest.raises(KeyFileError, match="can be written by everybody"):
        read_key(public, is_private=False, signs=True)
    public.chmod(0o664)
    assert problem_of(public, is_private=False, signs=True) is None
