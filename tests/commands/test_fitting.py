"""What `check` says of `[publish]`: whether a hook's renewals will be taken by the worker of the same file."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.settings.files import GATEWAYS, certificate, in_place, loaded
from worker.commands.fitting import fits
from worker.trust.keys import made

TRUST: Final = '[trust]\nrecipient_keys = ["old.jwk", "worker.jwk"]\n'
SIGNED: Final = TRUST + '[trust.producers]\nacme-1 = {public_key = "acme-1.pub.jwk"}\n'
BLOG: Final = certificate(in_place(certificate_id='"c2"'), name="blog").replace("acme-1", "acme-2")


@pytest.fixture(autouse=True)
def _keys(tmp_path: Path) -> None:
    for name in ("old", "worker", "another"):
        made(tmp_path, name, signs=False)
    for name in ("acme-1", "stranger"):
        made(tmp_path, name, signs=True)


def published(trust: str = TRUST, url: str = "sqlite:///queue.db", **publish: str) -> str:
    """Settings of which all fits; the values of `[publish]` are TOML, and an empty one is left out."""
    told = {
        "producer": '"acme-1"',
        "recipient_key": '"worker.pub.jwk"',
        "names": '{"www.example.com" = "shop"}',
        "spool": '"spool"',
        **publish,
    }
    lines = "\n".join(f"{key} = {value}" for key, value in told.items() if value)
    certificates = GATEWAYS + certificate(in_place()) + BLOG
    return f'[broker]\nurl = "{url}"\n{trust}[publish]\n{lines}\n{certificates}'


def found(folder: Path, text: str) -> Mapping[str, str]:
    """What is said of each; nothing where it is good."""
    told = list(fits(loaded(folder, text)))
    assert [one for one in told if not one.is_good and not one.next] == [], "each cross says what to do"
    return {one.what: one.message for one in told}


def crosses(folder: Path, text: str) -> Mapping[str, str]:
    return {one.what: one.message for one in fits(loaded(folder, text)) if not one.is_good}


def test_what_fits_is_told_a_line_each(tmp_path: Path) -> None:
    lines = ("publish.producer", "publish.names", "publish.recipient_key", "publish.spool")
    assert found(tmp_path, published()) == dict.fromkeys(lines, "")
    assert not (tmp_path / "spool").exists()
    signed = published(SIGNED, url="amqp://w@127.0.0.1", producer_key='"acme-1.jwk"')
    assert found(tmp_path, signed) == dict.fromkeys((lines[0], "publish.producer_key", *lines[1:]), "")


def test_nothing_is_said_where_others_publish_or_for_others(tmp_path: Path) -> None:
    assert found(tmp_path, GATEWAYS + certificate(in_place())) == {}
    assert found(tmp_path, '[publish]\nproducer = "nobody"\nrecipient_key = "another.pub.jwk"\n') == {}


@pytest.mark.parametrize(
    ("text", "what", "reason"),
    [
        (published(producer='"acme-3"'), "producer", "unauthorized_producer"),
        (published(recipient_key='"another.pub.jwk"'), "recipient_key", "cannot_decrypt"),
        (published(trust=""), "recipient_key", "cannot_decrypt"),
        (published(names='{"a.example.com" = "shop", "www" = "shopp"}'), "names.www", "unknown_certificate"),
        (published(names='{"www" = "blog"}'), "names.www", "unauthorized_producer"),
        (published(f"{TRUST}require_signature = true\n"), "producer_key", "unauthorized_producer"),
        (published(producer_key='"acme-1.jwk"'), "producer_key", "unauthorized_producer"),
        (published(SIGNED, producer_key='"stranger.jwk"'), "producer_key", "bad_signature"),
        (published(SIGNED, producer_key='"acme-1.jwk"', audience='"other"'), "audience", "wrong_audience"),
        (published(spool='"worker.toml/spool"'), "spool", "is no folder"),
    ],
)
def test_what_will_be_refused_is_named_with_the_reason_that_the_event_would_have(
    tmp_path: Path, text: str, what: str, reason: str
) -> None:
    bad = crosses(tmp_path, text)
    assert list(bad) == [f"publish.{what}"]
    assert reason in bad[f"publish.{what}"]


def test_a_mistyped_name_is_told_what_was_meant(tmp_path: Path) -> None:
    told = fits(loaded(tmp_path, published(names='{"www" = "shopp"}')))
    assert [one.next for one in told if not one.is_good] == ["did you mean shop?"]


@pytest.mark.parametrize("publish", [{"producer": ""}, {}])
def test_of_unsigned_renewals_the_broker_vouches_for_its_own_user(tmp_path: Path, publish: Mapping[str, str]) -> None:
    at = "amqp://{}:x@127.0.0.1:5672/"
    of_worker = published(url=at.format("worker"), **publish)
    assert crosses(tmp_path, of_worker) == {}
    assert found(tmp_path, of_worker)["publish.producer"].endswith("whom no certificate lists: worker")
    assert found(tmp_path, published(url=at.format("acme-1"), **publish))["publish.producer"] == ""


def test_whether_another_user_may_write_in_the_spool_is_not_known(tmp_path: Path) -> None:
    theirs = Path("/etc")
    if os.geteuid() == 0:
        theirs = tmp_path / "theirs"
        theirs.mkdir()
        os.chown(theirs, 65534, 65534)
    told = found(tmp_path, published(spool=f'"{theirs}"'))
    assert told["publish.spool"].startswith("not known: ")
    assert crosses(tmp_path, published(spool=f'"{theirs}"')) == {}
