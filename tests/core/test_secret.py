"""A secret is not shown, not written, and compared without being shown."""

import copy
import pickle

import pytest

from worker.core.secret import Secret


def test_a_secret_is_stars_however_it_is_printed() -> None:
    secret = Secret("s3cret")
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r}", repr([secret])):
        assert "s3cret" not in shown
        assert "***" in shown
    assert repr(secret) == "Secret(**********)"
    assert secret.reveal() == "s3cret"


def test_a_secret_is_not_written_anywhere() -> None:
    with pytest.raises(TypeError, match="not written"):
        pickle.dumps(Secret("s3cret"))
    with pytest.raises(TypeError, match="not written"):
        copy.deepcopy(Secret("s3cret"))


def test_secrets_are_equal_where_their_texts_are_and_to_nothing_else() -> None:
    assert Secret("s3cret") == Secret("s3cret")
    assert Secret("sécret") != Secret("s3cret")
    assert Secret("s3cret") != "s3cret"
    assert len({Secret("s3cret"), Secret("s3cret"), Secret("other")}) == 2
    assert hash(Secret("a")) == hash(Secret("b")), "a hash would tell which of them are alike"
