"""Texts that nearly are what they should be: accepted, or refused in our own words, and nothing else."""

import json
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.bad_inputs.forging import numbers_of, sound
from tests.bad_inputs.mutations import CASES, dumped, mutated, spoiled
from tests.bad_inputs.stage import event_of
from tests.settings.files import GATEWAYS, LISTENER, certificate, in_place
from tests.support.judging import judged
from tests.support.service import toml
from worker.broker.base import Message
from worker.core.errors import RefusedError
from worker.core.message import identify, parse, renewal_from
from worker.core.pem import certificates_in, private_key_in
from worker.sandbox.ca import Authority
from worker.settings import SettingsError
from worker.settings.loading import load
from worker.trust.keeping import looked_at
from worker.trust.opening import TrustPolicy, open_message

AUTHORITY = Authority.create()
SOUND = AUTHORITY.issue(["www.example.com"])
NOW = datetime.now(UTC)
SHORT = settings(max_examples=CASES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PIECES = st.sampled_from(
    [
        "-----BEGIN CERTIFICATE-----",
        "-----END CERTIFICATE-----",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----",
        "-----BEGIN EC PARAMETERS-----",
        "\n",
        "\r\n",
        "\r",
        "\0",
        "\ufeff",
        "=",
        "A" * 64,
        *SOUND.chain_pem.splitlines(keepends=True),
        SOUND.chain_pem,
        SOUND.private_key_pem,
        numbers_of(sound()).pem,
    ]
)
MATERIALS = [
    {"kind": "sealed", "chain_pem": SOUND.chain_pem, "private_key_jwe": "a.b.c.d.e"},
    {"kind": "plain", "chain_pem": SOUND.chain_pem, "private_key_pem": "k"},
    {"kind": "file", "chain": "a.pem", "private_key": "b.pem"},
    {"kind": "vault", "path": "p", "version": 3},
    {"kind": "held"},
]
RENEWALS = [
    {**event_of({"certificate": "shop", "material": one, "reason": "renewal"}), "subject": "shop", "traceparent": "00"}
    for one in MATERIALS
]
TOML = (
    GATEWAYS
    + certificate(in_place(domains='["a.example.com", {domain = "b.example.com"}]'))
    + certificate(f'gateway = "bycloud-sp"\nstrategy = "rebind"\ncertificate_id = "c1"\n{LISTENER}', name="blog")
    + '[broker]\nurl = "amqps://u:p@mq.example.com/"\n[retry]\nparking_seconds = [1, 2.5]\n[trust]\nrecipient_keys = []'
)


@SHORT
@given(st.lists(PIECES | st.text(max_size=5), max_size=12).map("".join))
def test_whatever_a_pem_is_made_of_only_whole_blocks_come_out(text: str) -> None:
    for read in (certificates_in, lambda one: (private_key_in(one),)):
        with suppress(RefusedError):
            for block in read(text):
                assert block.count("-----BEGIN ") == block.count("-----END ") == 1
                assert block in text.replace("\r\n", "\n") + "\n"


@SHORT
@given(
    spoiled(SOUND.chain_pem.encode()).map(lambda one: one.decode("latin-1")),
    spoiled(SOUND.private_key_pem.encode()).map(lambda one: one.decode("latin-1")),
)
def test_a_certificate_that_is_nearly_one_is_taken_or_refused_in_our_own_words(chain: str, key: str) -> None:
    for pair in ((chain, SOUND.private_key_pem), (SOUND.chain_pem, key)):
        with suppress(RefusedError):
            bundle = judged(*pair, [AUTHORITY.root])
            assert bundle.private_key_pem.reveal() == SOUND.private_key_pem


@SHORT
@given(st.sampled_from(RENEWALS).flatmap(mutated).map(dumped) | st.sampled_from(RENEWALS).map(dumped).flatmap(spoiled))
def test_a_renewal_that_is_nearly_one_is_taken_or_refused_in_our_own_words(body: bytes) -> None:
    told = identify(body)
    with suppress(RefusedError):
        event = parse(body)
        assert told == (event.data.certificate, event.id)
        assert renewal_from(event, "acme", None).certificate == "shop" or event.data.certificate != "shop"


@SHORT
@given(
    st.sampled_from(RENEWALS).flatmap(mutated).map(dumped),
    st.sampled_from(["application/cloudevents+json", "application/jose"]) | st.text(max_size=40),
    st.none() | st.text(max_size=20),
    st.none() | st.sampled_from(["gzip", "identity", "utf-8", ""]) | st.text(max_size=9),
)
def test_no_message_surprises_whoever_opens_it(body: bytes, kind: str, user: str | None, encoding: str | None) -> None:
    policy = TrustPolicy({"shop": frozenset({"acme"})})
    message = Message(body, kind, user_id=user, content_encoding=encoding)
    with suppress(RefusedError):
        assert open_message(message, policy, NOW).producer == user == "acme"
    looked_at(message, policy)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("settings")


def as_toml(tree: object) -> bytes:
    """What no TOML can say is written all the same."""
    if not isinstance(tree, dict):
        return toml(tree).encode("utf-8", "replace")
    return "\n".join(f"{json.dumps(key)} = {toml(one)}" for key, one in tree.items()).encode("utf-8", "replace")


def problems_in(path: Path) -> Sequence[str]:
    try:
        load(path, {})
    except SettingsError as error:
        return error.problems
    return []


@SHORT
@given(content=spoiled(TOML.encode()) | mutated(tomllib.loads(TOML)).map(as_toml) | st.binary(max_size=200))
@example(content=TOML.encode())
def test_settings_that_nearly_are_some_load_or_are_told_in_lines(folder: Path, content: bytes) -> None:
    path = folder / "worker.toml"
    path.touch(mode=0o600)
    path.write_bytes(content)
    problems = problems_in(path)
    assert not any("\n" in problem for problem in problems)
    assert problems == [] or content != TOML.encode()
