"""A deliberate fault: one edit of the worker, and the test that must fail of it."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Fault:
    """`file` is below `worker/`; `old` stands there exactly once; `test` is a node id below `tests/`."""

    name: str
    file: str
    old: str
    new: str
    test: str

    def source(self, root: Path = ROOT) -> Path:
        return root / "worker" / self.file

    def applied(self, text: str) -> str:
        """The text with the fault in it. ValueError where the table is older than the text."""
        if (found := text.count(self.old)) != 1:
            raise ValueError(f"{self.name}: its text is {found} times in worker/{self.file}")
        return text.replace(self.old, self.new)
