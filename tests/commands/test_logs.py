"""What commands that print a result let others say."""

from pathlib import Path

from tests.commands.processes import run_code

LOGGING = """
import logging, sys
import worker.commands.publish as command
from worker.cli import main
def chatty(*_):
    logging.getLogger("aiormq.connection").warning("lost amqp://user:hunter2@rabbit.example.com")
    sys.exit(3)
command.load_for_publishing = chatty
sys.exit(main(["publish", "shop", "--chain", sys.argv[1], "--key", sys.argv[1]]))
"""


async def test_what_libraries_say_is_not_shown_by_a_hook(tmp_path: Path) -> None:
    assert await run_code(LOGGING, tmp_path / "none.pem") == (3, "", "")
