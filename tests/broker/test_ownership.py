"""Who else may write the embedded broker's files: then nothing is opened, and nothing is left behind."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.broker.places import place_at, renewal
from tests.commands.processes import run
from tests.settings.files import written
from tests.support.gateways import AUTHORITY
from worker.broker.base import TopologyError

NAME = "queue.db"
NOBODY = 65534


def of_mode(name: str, mode: int) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).touch()
        (folder / name).chmod(mode)

    return make


def of_nobody(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).touch(mode=0o600)
        os.chown(folder / name, NOBODY, NOBODY)

    return make


def a_link(folder: Path) -> None:
    """To where a hook that runs as root would make a file."""
    (folder / f"{NAME}.opening").symlink_to("elsewhere")


def an_open_folder(folder: Path) -> None:
    folder.chmod(0o777)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
OPEN = [
    (of_mode(NAME, 0o620), f"{NAME}: others can write it"),
    (of_mode(NAME, 0o602), f"{NAME}: others can write it"),
    (of_mode(NAME, 0o604), f"{NAME}: everybody can read it"),
    (of_mode(f"{NAME}-wal", 0o660), f"{NAME}-wal: others can write it"),
    (of_mode(f"{NAME}-shm", 0o606), f"{NAME}-shm: others can write it"),
    (of_mode(f"{NAME}.lock", 0o666), f"{NAME}.lock: others can write it"),
    (a_link, f"{NAME}.opening: not a regular file"),
    (an_open_folder, "the folder state: everybody can put another file in place of this one"),
    pytest.param(of_nobody(NAME), f"{NAME}: is another user's", marks=needs_root),
    pytest.param(of_nobody(f"{NAME}-wal"), f"{NAME}-wal: is another user's", marks=needs_root),
]


@pytest.mark.parametrize(("make", "told"), OPEN)
async def test_what_others_may_write_is_not_opened(tmp_path: Path, make: Callable[[Path], None], told: str) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    make(folder)
    before = sorted(folder.iterdir())
    async with place_at(f"sqlite:///{folder / NAME}") as place:
        with pytest.raises(TopologyError) as caught:
            await place.broker().declare()
    assert (str(caught.value), sorted(folder.iterdir())) == (f"broker.url: {told}", before)


async def test_a_link_is_judged_by_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    of_mode(f"{NAME}-wal", 0o666)(tmp_path / "state")
    (tmp_path / "link.db").symlink_to(tmp_path / "state" / NAME)
    async with place_at(f"sqlite:///{tmp_path / 'link.db'}") as place:
        with pytest.raises(TopologyError, match=f"{NAME}-wal: others can write it"):
            await place.broker().declare()


@pytest.mark.parametrize("mode", [0o1777, 0o770, 0o755])
async def test_a_folder_where_nobody_can_put_another_file_in_its_place_will_do(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(mode)
    async with place_at(f"sqlite:///{folder / NAME}") as place:
        await place.broker().publish_renewal(renewal())
    assert (folder / NAME).stat().st_mode & 0o777 == 0o600


@needs_root
async def test_a_hook_that_runs_as_root_may_use_what_lies_in_the_workers_own_folder(tmp_path: Path) -> None:
    of_nobody(NAME)(tmp_path)
    os.chown(tmp_path, NOBODY, NOBODY)
    async with place_at(f"sqlite:///{tmp_path / NAME}") as place:
        await place.broker().publish_renewal(renewal())
        assert {one.stat().st_uid for one in tmp_path.glob(f"{NAME}-*")} == {NOBODY}


@pytest.mark.parametrize("is_there", [True, False])
async def test_no_command_uses_a_file_that_others_may_write(tmp_path: Path, *, is_there: bool) -> None:
    issued = AUTHORITY.issue(["shop.example.com"])
    for name, text in (("chain.pem", issued.chain_pem), ("key.pem", issued.private_key_pem)):
        written(tmp_path, text, name)
    text = f'[broker]\nurl = "sqlite:///state/{NAME}"\n[publish]\nspool = "spool"\nplain = true\n'
    config = written(tmp_path, f'{text}[http]\nlisten = "127.0.0.1:0"\n')
    (tmp_path / "state").mkdir()
    (of_mode(NAME, 0o662) if is_there else an_open_folder)(tmp_path / "state")
    files = ("--chain", tmp_path / "chain.pem", "--key", tmp_path / "key.pem")
    for words in (("run",), ("check",), ("publish", "shop", *files)):
        status, said, complained = await run(*words, "--config", config)
        assert (status, "broker.url: " in said + complained) == (78, True), words
    assert len(list((tmp_path / "spool").glob("*"))) > 0, "what was to be published is not lost"
