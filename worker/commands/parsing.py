"""Reading a command's words: what is mistyped is told with what may have been meant. Quick to import."""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final, NoReturn

from worker.core.nearest import nearest

_WRONG_USE: Final = 2
_CHOICE: Final = re.compile(r"invalid choice: '(.*)' \(")
_UNKNOWN: Final = "unrecognized arguments: "


class Parser(argparse.ArgumentParser):
    """As argparse has it, but for its errors: one line, and one with what to do next. `words`: what is parsed."""

    def __init__(self, words: Sequence[str], **told: Any) -> None:
        super().__init__(**told, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)
        self._is_json = "--json" in words

    def error(self, message: str) -> NoReturn:
        from worker.commands.refusals import complain, print_refusal  # noqa: PLC0415 - it shall not slow the others

        meant = next(self._meant(message), None)
        what_next = f"`{self.prog} --help` shows what there is" if meant is None else f"did you mean {meant}?"
        told = _CHOICE.sub(r"no such one: '\1' (", message)
        if self._is_json:
            print_refusal("usage", told, what_next)
        complain([told], what_next, program=self.prog)
        sys.exit(_WRONG_USE)

    def _meant(self, message: str) -> Iterator[str]:
        """What is most like each word that is not known."""
        choice = _CHOICE.search(message)
        typed = [choice[1]] if choice else message.removeprefix(_UNKNOWN).split()
        for word in typed if choice or message.startswith(_UNKNOWN) else ():
            meant = nearest(word.partition("=")[0], self._known(is_option=word.startswith("-")))
            if meant is not None:
                yield meant

    def _known(self, *, is_option: bool) -> Iterator[str]:
        for action in self._actions:
            if is_option:
                yield from action.option_strings
            elif action.choices is not None and not action.option_strings:
                yield from map(str, action.choices)
