"""`--help` of every command has an example, and the example is right."""

import argparse
import shlex
from importlib import import_module

import pytest

from tests.commands.processes import run
from worker.cli import COMMANDS, Command
from worker.commands.parsing import Parser


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_of_every_command_is_one_that_it_takes(command: str) -> None:
    module: Command = import_module(f"worker.commands.{command}")
    parser = Parser((), prog=f"rotation-worker {command}")
    parser.add_argument("--config")
    module.configure(parser)
    [line] = [one for one in parser.format_help().splitlines() if one.startswith("example: ")]
    first, name, *words = shlex.split(line.removeprefix("example: "))
    assert (first, name) == ("rotation-worker", command)
    assert isinstance(parser.parse_intermixed_args(words), argparse.Namespace)


async def test_help_is_the_same_on_its_way_through_the_command_line() -> None:
    status, said, complained = await run("dead", "--help")
    assert (status, complained) == (0, "")
    assert said.endswith("\nexample: rotation-worker dead replay --certificate shop --wait 600\n")
