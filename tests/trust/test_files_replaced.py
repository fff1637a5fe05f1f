"""Material in files while they are being replaced: what is read is of one renewal, and from below the roots."""

import itertools
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path, PosixPath
from typing import ClassVar

import pytest

from tests.bad_inputs.der import integer, tlv
from tests.bad_inputs.forging import forged, replaced
from tests.trust.lineages import SHOP, lineage, link, write
from worker.core.errors import PermanentError, RotationError, TransientError
from worker.core.private_key import fit
from worker.core.renewal import InFiles, Renewal
from worker.core.secret import Secret
from worker.sandbox.ca import Authority
from worker.trust.files import read_material
from worker.trust.keys import Recipients
from worker.trust.material import material_of


class Watched(PosixPath):
    """A root, and what somebody else does before the n-th question to the system of a name below it."""

    steps: ClassVar[Mapping[int, Callable[[], object]]] = {}
    asked: ClassVar[int] = 0

    @classmethod
    def at(cls, path: Path, steps: Mapping[int, Callable[[], object]]) -> Path:
        """One at a time in a process."""
        cls.steps, cls.asked = steps, 0
        return cls(path)

    def __fspath__(self) -> str:
        Watched.asked += 1
        Watched.steps.get(Watched.asked, lambda: None)()
        return super().__fspath__()


def questions(material: InFiles, root: Path) -> range:
    """Each that is asked while they are read, or until they are refused, by its number."""
    with suppress(PermanentError):
        read_material(material, [Watched.at(root, {})])
    return range(1, Watched.asked + 1)


def test_what_is_renewed_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    lineage(tmp_path)
    write(tmp_path, 2, "chain 2", "key 2")
    for question in questions(SHOP, tmp_path):
        link(tmp_path, fullchain=1, privkey=1)
        watched = Watched.at(tmp_path, {question: lambda: link(tmp_path, fullchain=2, privkey=2)})
        chain, key = read_material(SHOP, [watched])
        assert (chain, key.reveal()) in [("chain", "key"), ("chain 2", "key 2")]


def test_what_is_replaced_in_place_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    lineage(tmp_path)
    for question in questions(SHOP, tmp_path):
        write(tmp_path, 1, "chain", "key")
        watched = Watched.at(tmp_path, {question: lambda: write(tmp_path, 1, "chain 2", "key 2")})
        chain, key = read_material(SHOP, [watched])
        assert (chain, key.reveal()) in [("chain", "key"), ("chain 2", "key 2")]


def test_what_never_rests_is_tried_again_later(tmp_path: Path) -> None:
    lineage(tmp_path)
    grow = (tmp_path / "archive/shop/fullchain1.pem").open("a", buffering=1)
    watched = Watched.at(tmp_path, {question: lambda: grow.write("\n") for question in range(1, 500)})
    with grow, pytest.raises(TransientError) as told:
        read_material(SHOP, [watched])
    assert told.value.reason == "key_mismatch"


def two_renewals(folder: Path) -> None:
    for number in (1, 2):
        issued = Authority.create().issue(["shop.example.com"])
        write(folder, number, issued.chain_pem, issued.private_key_pem)


def renewal_from_files() -> Renewal:
    return Renewal("r1", "shop", "acme", SHOP)


async def test_a_lineage_that_is_half_renewed_is_waited_for(tmp_path: Path) -> None:
    """As acme.sh and lego write them: the key, then the chain, under the same names."""
    two_renewals(tmp_path)
    link(tmp_path, fullchain=1, privkey=2)
    second = questions(SHOP, tmp_path).stop
    watched = Watched.at(tmp_path, {second: lambda: link(tmp_path, fullchain=2, privkey=2)})
    material = await material_of(renewal_from_files(), [watched], Recipients())
    assert material is not None
    assert material[0] == (tmp_path / "archive/shop/fullchain2.pem").read_text()


async def test_a_key_that_has_another_name_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    """As one leaves it that links what it wrote, and then takes the first name away."""
    two_renewals(tmp_path)
    link(tmp_path, fullchain=1, privkey=1)
    other = tmp_path / "written.tmp"
    other.hardlink_to(tmp_path / "archive/shop/privkey1.pem")
    watched = Watched.at(tmp_path, {questions(SHOP, tmp_path).stop: other.unlink})
    material = await material_of(renewal_from_files(), [watched], Recipients())
    assert material is not None
    assert fit(*material)


async def test_a_key_that_keeps_another_name_is_refused_for_good(tmp_path: Path) -> None:
    lineage(tmp_path)
    (tmp_path / "backup.pem").hardlink_to(tmp_path / "archive/shop/privkey1.pem")
    with pytest.raises(PermanentError, match="hard links") as told:
        await material_of(renewal_from_files(), [tmp_path], Recipients())
    assert told.value.reason == "file_permissions"


async def test_files_that_never_fit_are_left_to_the_rules(tmp_path: Path) -> None:
    two_renewals(tmp_path)
    link(tmp_path, fullchain=1, privkey=2)
    material = await material_of(renewal_from_files(), [tmp_path], Recipients())
    assert material is not None
    assert not fit(*material)


async def test_a_file_that_stays_away_is_no_reason_to_come_again(tmp_path: Path) -> None:
    with pytest.raises(PermanentError) as told:
        await material_of(renewal_from_files(), [tmp_path], Recipients())
    assert told.value.reason == "file_not_found"


def test_files_that_fit_are_known_as_such_whatever_their_numbers(tmp_path: Path) -> None:
    """As certbot's `--reuse-key` leaves them."""
    two_renewals(tmp_path)
    archive = tmp_path / "archive" / "shop"
    (archive / "fullchain1.pem").rename(archive / "fullchain2.pem")
    link(tmp_path, fullchain=2, privkey=1)
    assert fit(*read_material(SHOP, [tmp_path]))


def test_a_pair_that_cannot_be_read_is_left_to_the_rules() -> None:
    """Whatever the library raises: for another version of certificates it is no error of value."""
    authority = Authority.create()
    issued = authority.issue(["shop.example.com"])
    for change in (replaced(0, tlv(0xA0, integer(6))), replaced(1, integer(7) * 2)):
        assert fit(forged(issued, authority, change).chain_pem, Secret(issued.private_key_pem))


@pytest.mark.parametrize("swung", ["chains", "keys"])
def test_a_folder_that_becomes_a_link_out_of_the_roots_leads_nowhere_whenever_and_for_how_long(
    tmp_path: Path, swung: str
) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for where, text in ((root / "chains", "chain"), (root / "keys", "key"), (elsewhere, "secret")):
        where.mkdir(parents=True)
        (where / "one.pem").touch(mode=0o600)
        (where / "one.pem").write_text(text)
    material, folder = InFiles("chains/one.pem", "keys/one.pem"), root / swung

    def lead_out() -> None:
        folder.rename(root / "aside")
        folder.symlink_to(elsewhere)

    def lead_back() -> None:
        if folder.is_symlink():
            folder.unlink()
            (root / "aside").rename(folder)

    found = set()
    every = questions(material, root)
    for out, back in itertools.combinations([*every, len(every) + 1], 2):
        watched = Watched.at(root, {out: lead_out, back: lead_back})
        with suppress(RotationError):
            chain, key = read_material(material, [watched])
            found |= {chain, key.reveal()}
        lead_back()
    assert found == {"chain", "key"}
