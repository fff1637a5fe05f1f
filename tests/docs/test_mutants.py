"""What mutants left is told of code that there is."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = re.findall(
    r"^\| (?:`([a-z_/]+\.py)`|all) \| `(.+?)` \|",
    (ROOT / "docs" / "mutants.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def test_every_mutant_that_lives_is_of_code_that_there_is() -> None:
    everything = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "worker").rglob("*.py"))
    texts = {file: (ROOT / "worker" / file).read_text(encoding="utf-8") if file else everything for file, _ in ROWS}
    assert len(ROWS) > 30
    assert [(file, what) for file, what in ROWS if what not in texts[file]] == []
