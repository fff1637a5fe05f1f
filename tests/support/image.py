"""The Dockerfile, read: its instructions, and what its image gives to whatever runs in it."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path


def instructions(root: Path) -> Sequence[tuple[str, str]]:
    """Name and rest of each, in order; lines that go on are one."""
    text = re.sub(r"\\\n\s*", "", (root / "Dockerfile").read_text(encoding="utf-8"))
    lines = [line.partition(" ") for line in text.splitlines() if re.match("[A-Z]+ ", line)]
    return [(name, rest) for name, _, rest in lines]


def stages(root: Path) -> Sequence[Sequence[tuple[str, str]]]:
    """From each FROM to the next one."""
    found: list[list[tuple[str, str]]] = []
    for name, rest in instructions(root):
        found += [[]] if name == "FROM" else []
        found[-1].append((name, rest))
    return found


def environment_of(root: Path) -> Mapping[str, str]:
    """Of the last stage."""
    told = " ".join(rest for name, rest in stages(root)[-1] if name == "ENV")
    return dict(re.findall(r"(\w+)=(\S+)", told))
