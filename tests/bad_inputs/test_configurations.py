"""Settings with which the service does not start: status 78, one line, the place and not the value."""

import json
from pathlib import Path

from tests.bad_inputs.configurations import ROWS, SECRET
from tests.commands.processes import run_code

# Each as the command line does it, one after the other in one process, which takes seconds to load.
STARTS = """
import contextlib, io, json, os, sys
from worker.cli import main
for path, environ in json.loads(sys.argv[1]):
    os.environ.update(environ)
    with contextlib.redirect_stderr(io.StringIO()) as said:
        status = main(["run", "--config", path])
    print(json.dumps([status, said.getvalue()]))
    for name in environ:
        del os.environ[name]
"""


def surprises(place: str, path: str, ended: str) -> list[str]:
    status, said = json.loads(ended)
    lines = said.splitlines()
    told = [line.removeprefix("rotation-worker: ").removeprefix(f"{path}: ") for line in lines]
    is_told = len(told) == 2 and told[0].startswith(place) and told[1].startswith("next: ") and SECRET not in said
    return [] if status == 78 and is_told else [f"{place} ends with {status} and says {said}"]


async def test_the_service_does_not_start_and_says_why_in_one_line(tmp_path: Path) -> None:
    written = []
    for number, row in enumerate(ROWS):
        folder = tmp_path / str(number)
        folder.mkdir()
        written.append((str(row.write(folder)), row.environ))
    status, said, complained = await run_code(STARTS, json.dumps(written))
    assert (status, complained) == (0, "")
    found = []
    for row, (path, _), line in zip(ROWS, written, said.splitlines(), strict=True):
        found += surprises(row.place, path, line)
    assert found == []
