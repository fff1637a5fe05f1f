"""`rotation-worker keygen`: key pairs as JWK files: a worker's, to seal to; a producer's, to sign with."""

import argparse
import re
from pathlib import Path
from typing import Final

from worker.commands.exits import FAILED, OK, WRONG_USE
from worker.commands.next_steps import next_step_of_the_system
from worker.commands.output import print_json
from worker.commands.pasting import quoted
from worker.commands.refusals import refused
from worker.settings.model import CERTIFICATE_NAME
from worker.trust.keys import made

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_NAMED: Final = "give a producer the name that the certificates list; letters, digits, . _ - are allowed"
_ELSEWHERE: Final = "go on with the pair that is there, or name another folder with --folder"
_FOLDER: Final = "name a folder that can be made, or written to, with --folder"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("whose", choices=("worker", "producer"))
    parser.add_argument("name", nargs="?", help="the producer's, as the certificates list it")
    parser.add_argument("--folder", type=Path, default=Path("keys"), help="where to write them (default: keys)")
    parser.epilog = "example: rotation-worker keygen producer acme-1 --folder /etc/rotation-worker/keys"


def execute(args: argparse.Namespace) -> int:
    is_producer = args.whose == "producer"
    name = args.name if is_producer else "worker"
    if (args.name is None) == is_producer or CERTIFICATE_NAME.fullmatch(name or "") is None:
        return refused(args, WRONG_USE, "wrong_use", "keygen worker, or keygen producer NAME", _NAMED)
    try:
        private, public = made(args.folder, name, signs=is_producer)
    except FileExistsError as there:
        return refused(
            args, FAILED, "file_exists", f"{there.filename}: is there already, and is not overwritten", _ELSEWHERE
        )
    except OSError as error:
        what_next = next_step_of_the_system(error) or _FOLDER
        return refused(args, FAILED, "file_unwritable", f"{args.folder}: {error.strerror}", what_next)
    if args.json:
        print_json({"private": str(private), "public": str(public)})
    else:
        print(f"{private}: to be kept, with mode 0600\n{public}: for the other side\n")
        print(_for_producer(name, private, public) if is_producer else _for_worker(private, public))
    return OK


def _for_worker(private: Path, public: Path) -> str:
    return f"""# settings of the worker
[trust]
recipient_keys = [{quoted(str(private))}]

# settings of those who publish
[publish]
recipient_key = {quoted(str(public))}"""


def _for_producer(name: str, private: Path, public: Path) -> str:
    key = name if _BARE.fullmatch(name) else quoted(name)
    return f"""# settings of the producer
[publish]
producer = "{name}"
producer_key = {quoted(str(private))}

# settings of the worker
[trust.producers.{key}]
public_key = {quoted(str(public))}"""
