"""What is kept for putting back: sealed at rest, bound to its certificate, and held against every rule again."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.settings.files import GATEWAYS, certificate, in_place, loaded
from tests.support.fake_vault import FakeVault, Fault, answering, serving
from tests.support.keys_made import MADE, is_told, raw
from tests.support.values import bundle as any_bundle
from tests.trust.vaults import app_role, opened
from worker.building import kept_of
from worker.core.bundle import Bundle
from worker.core.errors import PermanentError, RotationError, TransientError
from worker.core.pem import LONGEST_CHAIN, LONGEST_KEY
from worker.core.secret import Secret
from worker.kept import Kept
from worker.sandbox.ca import Authority, Issued
from worker.settings.model import Previous
from worker.trust.kept import Check, open_kept
from worker.trust.keys import Recipients, made, read_key
from worker.trust.sealing import LONGEST, seal, seal_fields

AUTHORITY = Authority.create()
NAMES = ["shop.example.com"]
PATH = "rotation-worker/previous/shop"
SETTINGS = """
[trust]
ca_bundle = "roots.pem"
recipient_keys = ["worker.jwk"]
minimum_remaining_seconds = 8640000
[trust.previous]
folder = "previous"
"""


def kept_in(folder: Path) -> Mapping[str, Kept]:
    """As a worker would have it; `blog` is not kept."""
    (folder / "roots.pem").write_text(AUTHORITY.root_pem)
    if not (folder / "worker.jwk").exists():
        made(folder, "worker", signs=False)
    names = (("shop", "keep_previous = true"), ("mail.b", "keep_previous = true"), ("blog", ""))
    entries = [
        certificate(in_place(certificate_id=f'"c{number}"'), name=f'"{name}"', more=more)
        for number, (name, more) in enumerate(names)
    ]
    return kept_of(loaded(folder, SETTINGS + GATEWAYS + "".join(entries)), None)


def rules_in(folder: Path) -> Check:
    """Those of `kept_in`."""
    kept: Any = kept_in(folder)["shop"]
    check: Check = kept.check
    return check


async def bundle_of(folder: Path, issued: Issued) -> Bundle:
    return await rules_in(folder)(issued.chain_pem, Secret(issued.private_key_pem))


@asynccontextmanager
async def on_disk(folder: Path) -> AsyncIterator[tuple[Kept, Callable[[], str]]]:
    kept = kept_in(folder)["shop"]
    yield kept, lambda: "".join(one.read_bytes().decode("latin-1") for one in (folder / "previous").iterdir())


@asynccontextmanager
async def in_vault(folder: Path) -> AsyncIterator[tuple[Kept, Callable[[], str]]]:
    async with standing(folder) as (fake, kept):
        yield kept, lambda: repr(fake.versions)


@asynccontextmanager
async def standing(folder: Path) -> AsyncIterator[tuple[FakeVault, Kept]]:
    check, recipients = rules_in(folder), Recipients.at([folder / "worker.jwk"])
    async with serving(FakeVault()) as fake, opened(fake, app_role(fake, folder)) as vault:
        yield fake, open_kept(Previous(vault="rotation-worker/previous"), vault, recipients, check)


async def failure(kept: Kept, name: str = "shop") -> RotationError:
    with pytest.raises(RotationError) as told:
        await kept.last(name)
    assert (told.value.__cause__, told.value.__context__) == (None, None)
    return told.value


def planted(folder: Path, issued: Issued, name: str = "shop", **changes: str) -> None:
    """Sealed by somebody who has the public half of the worker's key."""
    fields = {
        "certificate": name,
        "fingerprint_sha256": "ab" * 32,
        "chain_pem": issued.chain_pem,
        "private_key_pem": issued.private_key_pem,
        **changes,
    }
    public = read_key(folder / "worker.pub.jwk", is_private=False, signs=False)
    lie_there(folder, seal_fields(fields, public))


def lie_there(folder: Path, text: str | bytes, name: str = "shop") -> None:
    (folder / "previous").mkdir(mode=0o700, exist_ok=True)
    (folder / "previous" / f"{name}.jwe").touch(mode=0o600)
    (folder / "previous" / f"{name}.jwe").write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize("place", [on_disk, in_vault])
@pytest.mark.parametrize("is_rsa", [False, True])
async def test_what_was_verified_last_is_given_again_and_nothing_at_rest_shows_its_key(
    tmp_path: Path, place: Any, *, is_rsa: bool
) -> None:
    key = rsa.generate_private_key(65537, 2048) if is_rsa else None
    bundles = [await bundle_of(tmp_path, AUTHORITY.issue(NAMES, key=key)) for _ in range(2)]
    async with place(tmp_path) as (kept, at_rest):
        assert await kept.last("shop") is None
        for one in bundles:
            await kept.keep("shop", one)
            assert await kept.last("shop") == one
        lying = at_rest()
    assert "BEGIN" not in lying
    assert not is_told(lying, MADE)
    assert [one for key in MADE for one in raw(key) if one.decode("latin-1") in lying] == []


async def test_only_certificates_that_ask_for_it_are_kept_and_each_for_itself(tmp_path: Path) -> None:
    kept = kept_in(tmp_path)
    assert sorted(kept) == ["mail.b", "shop"]
    bundle = await bundle_of(tmp_path, AUTHORITY.issue(NAMES))
    await kept["shop"].keep("shop", bundle)
    assert await kept["mail.b"].last("mail.b") is None
    assert kept_of(loaded(tmp_path, GATEWAYS + certificate(in_place())), None) == {}


async def test_what_is_near_its_end_is_put_back_and_what_has_ended_is_not(tmp_path: Path) -> None:
    """The settings ask new certificates for a hundred days."""
    now = datetime.now(UTC).replace(microsecond=0)
    bundle = await bundle_of(tmp_path, AUTHORITY.issue(NAMES, not_after=now + timedelta(days=1)))
    kept = kept_in(tmp_path)["shop"]
    await kept.keep("shop", bundle)
    assert await kept.last("shop") == bundle
    planted(tmp_path, AUTHORITY.issue(NAMES, not_before=now - timedelta(days=9), not_after=now - timedelta(days=1)))
    error = await failure(kept)
    assert (type(error), error.reason) == (PermanentError, "previous_unusable")
    assert ": expired: " in str(error)


async def test_what_somebody_else_has_sealed_passes_every_rule_or_is_not_put_back(tmp_path: Path) -> None:
    kept = kept_in(tmp_path)["shop"]
    planted(tmp_path, Authority.create("Stranger").issue(NAMES))
    assert ": chain_untrusted: " in str(await failure(kept))
    sound, other = AUTHORITY.issue(NAMES), AUTHORITY.issue(NAMES)
    planted(tmp_path, replace(sound, private_key_pem=other.private_key_pem))
    assert ": key_mismatch: " in str(await failure(kept))
    planted(tmp_path, sound)
    assert str(await failure(kept)) == "trust.previous: is not the certificate that it says it is"
    fingerprint = (await bundle_of(tmp_path, sound)).leaf.fingerprint_sha256
    planted(tmp_path, sound, fingerprint_sha256=fingerprint)
    assert await kept.last("shop") == await bundle_of(tmp_path, sound)


async def test_what_was_kept_for_another_certificate_is_not_put_back(tmp_path: Path) -> None:
    kept = kept_in(tmp_path)["shop"]
    for name in ("mail.b", "shop"):
        await kept.keep(name, await bundle_of(tmp_path, AUTHORITY.issue(NAMES)))
    (tmp_path / "previous" / "mail.b.jwe").rename(tmp_path / "previous" / "shop.jwe")
    error = await failure(kept)
    assert (type(error), error.reason) == (PermanentError, "previous_mismatch")


async def test_whatever_else_lies_there_is_told_as_broken_and_replaced(tmp_path: Path) -> None:
    kept = kept_in(tmp_path)["shop"]
    bundle = await bundle_of(tmp_path, AUTHORITY.issue(NAMES))
    await kept.keep("shop", bundle)
    whole = (tmp_path / "previous" / "shop.jwe").read_text()
    public = read_key(tmp_path / "worker.pub.jwk", is_private=False, signs=False)
    _, strange = made(tmp_path / "strange", "worker", signs=False)
    another = "A" if whole[-30] != "A" else "B"
    for damaged in (
        *("", whole[:-9], whole[: len(whole) // 2], f"{whole[:-30]}{another}{whole[-29:]}", whole * 2),
        *("{}", "[" * 100_000, "x" * (LONGEST + 1), whole + "x" * LONGEST, "e30.e30.e30.e30.e30"),
        seal(bundle.private_key_pem, "shop", "r1", public),
        seal_fields({"certificate": "shop"}, public),
        seal_fields({}, read_key(strange, is_private=False, signs=False)),
        *(b"\xff\xfe", b"\0" * 100),
    ):
        lie_there(tmp_path, damaged)
        error = await failure(kept)
        assert (type(error), error.reason) == (PermanentError, "previous_broken")
        assert len(str(error)) < 100
    await kept.keep("shop", bundle)
    assert await kept.last("shop") == bundle


@pytest.mark.parametrize("is_at_vault", [False, True])
async def test_the_longest_chain_and_key_that_are_let_in_are_kept(tmp_path: Path, *, is_at_vault: bool) -> None:
    """In lines of any length: each end of a line takes two characters more."""
    chain, key = ("\n".join(["x" * 31] * (size // 32)) + "\n" for size in (LONGEST_CHAIN, LONGEST_KEY))
    longest = any_bundle(leaf_pem=chain, intermediates_pem="", private_key_pem=Secret(key))

    async def check(chain_pem: str, private_key_pem: Secret) -> Bundle:
        return replace(longest, leaf_pem=chain_pem, private_key_pem=private_key_pem)

    private, _ = made(tmp_path, "worker", signs=False)
    async with serving(FakeVault()) as fake, opened(fake, app_role(fake, tmp_path)) as vault:
        place = Previous(vault="previous") if is_at_vault else Previous(folder=tmp_path / "previous")
        kept = open_kept(place, vault, Recipients.at([private]), check)
        await kept.keep("shop", longest)
        assert await kept.last("shop") == longest


async def test_a_rollover_of_the_workers_key_needs_no_rewriting(tmp_path: Path) -> None:
    old, check = tmp_path / "worker.jwk", rules_in(tmp_path)
    newer, _ = made(tmp_path / "newer", "worker", signs=False)
    bundle = await bundle_of(tmp_path, AUTHORITY.issue(NAMES))

    def kept_with(*keys: Path) -> Kept:
        return open_kept(Previous(folder=tmp_path / "previous"), None, Recipients.at(keys), check)

    await kept_with(old).keep("shop", bundle)
    assert await kept_with(newer, old).last("shop") == bundle
    assert (await failure(kept_with(newer))).reason == "previous_broken"
    await kept_with(newer, old).keep("shop", bundle)
    assert await kept_with(newer).last("shop") == bundle


async def test_a_key_of_the_workers_that_cannot_be_read_is_worth_another_try(tmp_path: Path) -> None:
    kept = kept_in(tmp_path)["shop"]
    bundle = await bundle_of(tmp_path, AUTHORITY.issue(NAMES))
    await kept.keep("shop", bundle)
    (tmp_path / "worker.jwk").rename(tmp_path / "away.jwk")
    assert isinstance(await failure(kept), TransientError)
    with pytest.raises(TransientError) as told:
        await kept.keep("shop", bundle)
    assert told.value.reason == "key_file_unreadable"


async def test_what_is_kept_in_vault_lies_below_its_prefix_and_a_deleted_one_is_none(tmp_path: Path) -> None:
    async with standing(tmp_path) as (fake, kept):
        bundle = await bundle_of(tmp_path, AUTHORITY.issue(NAMES))
        await kept.keep("shop", bundle)
        fake.revoke()
        await kept.keep("shop", bundle)
        assert await kept.last("shop") == bundle
        assert [call for call in fake.journal if "login" not in call] == [
            *[f"POST /v1/secret/data/{PATH}"] * 3,
            f"GET /v1/secret/data/{PATH}",
        ]
        fake.versions[PATH].append(None)
        assert await kept.last("shop") is None


async def test_a_secret_of_anothers_making_is_told_as_broken(tmp_path: Path) -> None:
    async with standing(tmp_path) as (fake, kept):
        for secret in ({}, {"sealed": 1}, {"sealed": "x"}, {"chain_pem": "x", "private_key_pem": "y"}):
            fake.versions[PATH] = [secret]
            error = await failure(kept)
            assert (type(error), error.reason) == (PermanentError, "previous_broken")


async def test_a_vault_that_does_not_let_the_worker_write_says_so_and_what_was_kept_stays(tmp_path: Path) -> None:
    async with standing(tmp_path) as (fake, kept):
        old, new = [await bundle_of(tmp_path, AUTHORITY.issue(NAMES)) for _ in range(2)]
        await kept.keep("shop", old)
        [before] = fake.versions[PATH]
        fake.read_only.add(PATH)
        with pytest.raises(PermanentError) as told:
            await kept.keep("shop", new)
        assert (told.value.reason, told.value.status) == ("vault_forbidden", 403)
        assert str(told.value) == "Vault: the worker may not write that secret"
        assert (await kept.last("shop"), fake.versions[PATH]) == (old, [before])


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        (answering(503, "Vault is sealed"), TransientError, "vault_unavailable"),
        (answering(412), TransientError, "vault_unavailable"),
        (answering(204), TransientError, "vault_unavailable"),
        (answering(200, "{}"), TransientError, "vault_unavailable"),
        (answering(200, '{"data": {"version": true}}'), TransientError, "vault_unavailable"),
        (answering(400, "check-and-set parameter required"), PermanentError, "vault_forbidden"),
        (answering(404, '{"errors": ["no handler for route"]}'), PermanentError, "vault_not_found"),
        (answering(302, Location="https://127.0.0.1:1/"), PermanentError, "unexpected_redirect"),
    ],
)
async def test_what_is_not_written_in_vault_is_not_taken_for_kept(
    tmp_path: Path, fault: Fault, kind: type[RotationError], reason: str
) -> None:
    async with standing(tmp_path) as (fake, kept):
        bundle = await bundle_of(tmp_path, AUTHORITY.issue(NAMES))
        fake.faults = [fault]
        with pytest.raises(RotationError) as told:
            await kept.keep("shop", bundle)
        assert (type(told.value), told.value.reason) == (kind, reason)
        await kept.keep("shop", bundle)
        fake.faults = [answering(503)]
        assert isinstance(await failure_at(kept), TransientError)


async def failure_at(kept: Kept) -> RotationError:
    with pytest.raises(RotationError) as told:
        await kept.last("shop")
    return told.value
