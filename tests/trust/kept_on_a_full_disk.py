"""What `test_kept_folder` runs where a small file system is mounted that nobody else sees: it gets full."""

import sys
from pathlib import Path

import pytest

from tests.reliability.full_disk import filled, named
from worker.core.errors import TransientError
from worker.trust.kept.folder import InFolder

LONGEST = 200_000


def leaves_the_old(place: InFolder) -> None:
    before = sorted(place.folder.iterdir())
    with pytest.raises(TransientError) as told:
        place.write("shop", "new" * 30_000)
    assert (told.value.reason, "No space left on device" in str(told.value)) == ("previous_unavailable", True)
    assert sorted(place.folder.iterdir()) == before
    assert place.read("shop", LONGEST) == "old"


def play(disk: Path) -> None:
    place = InFolder(disk / "previous")
    place.write("shop", "old")
    filling = filled(disk)
    leaves_the_old(place)
    filling.unlink()
    names = named(disk)
    leaves_the_old(place)
    for name in names:
        name.unlink()
    place.write("shop", "new" * 30_000)
    assert place.read("shop", LONGEST) == "new" * 30_000


if __name__ == "__main__":
    play(Path(sys.argv[1]))
