"""The broker's definitions: those of the default settings, for whoever has no others."""

import json
from pathlib import Path

from tests.commands.processes import run

ROOT = Path(__file__).parents[2]


async def test_the_definitions_are_what_the_command_exports() -> None:
    ended, said, _ = await run("topology", "export", "--config", ROOT / "config" / "worker.toml")
    assert ended == 0
    assert json.loads(said) == json.loads((ROOT / "deploy" / "rabbitmq" / "definitions.json").read_text("utf-8"))
