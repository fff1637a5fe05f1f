"""Every kind of mistake at every command: how it ends, what its first line is, and what it says is to be done."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.publish.lineages import renewed
from tests.settings.files import APIG, certificate, in_place, written

SETTINGS = '[publish]\nspool = "spool"\nplain = true\n' + APIG + certificate(in_place())
EMBEDDED = '[broker]\nurl = "sqlite:///queue.db"\n'
ANYWHERE = '[http]\nlisten = "127.0.0.1:0"\n'
AWAY = '[broker]\nurl = "amqp://guest:hunter2@127.0.0.1:1/"\ntimeout_seconds = 5\n'
FILES = "--chain {folder}/live/shop/fullchain.pem --key {folder}/live/shop/privkey.pem"

NO_FILE = "{folder}/none.toml: No such file or directory"
NAME_IT = "name your settings with --config FILE or ROTATION_CONFIG; config/worker.toml is an example"
TYPO = "{folder}/worker.toml: broker.prefech: unknown key (did you mean prefetch?)"
CORRECT = "correct what is named; `rotation-worker check` then tries the settings without changing anything"
NO_SUCH = "certificates: none of the name that was asked for; there are: shop"
LOST = "connecting to 127.0.0.1:1: the broker is lost (AMQPConnectionError)"
START = "start the broker, or correct [broker] in the settings; `rotation-worker check` tries it"
UNMADE = "broker: the embedded broker has no file yet: nothing has run or published with these settings"
MAKE = "make it with `rotation-worker topology apply`, or start `rotation-worker run`"
OPEN = "broker: broker.url: queue.db: others can write it"
CLOSE = "give the file to the user who runs this, with chmod 600, and run it again"
PASS = "name the files that the ACME client has just written: the chain with the leaf first, and its own key"
RENEW = "renew it with the ACME client, and pass the new files"
WHICH = "`rotation-worker dead list` shows which there are"

Made = Callable[[Path], AbstractContextManager[object] | None]


@dataclass(frozen=True, slots=True)
class Mistake:
    """`first` and `next`: after "rotation-worker: " and "next: "; FOLDER stands for the test's own."""

    name: str
    words: str
    status: int
    first: str
    next: str
    settings: str = SETTINGS
    made: Made = lambda _folder: None
    """What else there is; a context is held while the command runs."""

    @property
    def command(self) -> str:
        return self.words.split()[0]

    def line(self, folder: Path) -> str:
        prefix = f" {self.command}" if self.is_told_by_its_command else ""
        return f"rotation-worker{prefix}: {self.first.replace('{folder}', str(folder))}"

    @property
    def is_told_by_its_command(self) -> bool:
        return self.status == 2 or (self.command == "publish" and self.status in (0, 64, 65, 69))

    def held(self, folder: Path) -> AbstractContextManager[object]:
        written(folder, self.settings)
        return self.made(folder) or nullcontext()


def lineage(folder: Path) -> None:
    renewed(folder)


def expired(folder: Path) -> None:
    long_ago = datetime.now(UTC).replace(microsecond=0) - timedelta(days=400)
    renewed(folder, not_before=long_ago)


def mixed_up(folder: Path) -> None:
    other = renewed(folder).issued.private_key_pem
    renewed(folder)
    (folder / "archive" / "shop" / "privkey.pem").write_text(other)


def open_to_others(folder: Path) -> None:
    (folder / "queue.db").touch()
    (folder / "queue.db").chmod(0o666)


def queue(folder: Path) -> None:
    (folder / "queue.db").touch(mode=0o600)


def no_folder(folder: Path) -> None:
    (folder / "keys").touch()


def a_pair(folder: Path) -> None:
    (folder / "keys").mkdir()
    (folder / "keys" / "worker.jwk").touch()


@contextmanager
def taken(folder: Path) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        listen = f'[http]\nlisten = "127.0.0.1:{server.getsockname()[1]}"\n'
        written(folder, EMBEDDED + listen)
        yield


READING = ("history", "dead list", "dead replay")
SENDING = ("run", "sweep", "rotate shop", "plan shop", "discover apig-main", "topology apply", "topology export")
ALL: Sequence[str] = (*READING, *SENDING)

MISTAKES: Sequence[Mistake] = [
    *(Mistake("no settings", f"{one} --config {{folder}}/none.toml", 78, NO_FILE, NAME_IT) for one in ALL),
    Mistake("no settings", f"publish shop {FILES} --config {{folder}}/none.toml", 78, NO_FILE, NAME_IT, made=lineage),
    *(Mistake("invalid settings", one, 78, TYPO, CORRECT, "[broker]\nprefech = 1\n") for one in ALL),
    *(
        Mistake("unknown certificate", one, 78, NO_SUCH, "did you mean shop?", EMBEDDED + SETTINGS, queue)
        for one in (
            *("rotate shpo", "plan shpo", "sweep shpo", "history shpo"),
            *("dead list --certificate shpo", "dead replay --certificate Shop1"),
        )
    ),
    Mistake(
        "unknown certificate",
        "history blog",
        78,
        NO_SUCH,
        "use a name that the settings have, or add it there below [certificates]",
        EMBEDDED + SETTINGS,
        queue,
    ),
    Mistake(
        "unknown gateway",
        "discover apig-mian",
        78,
        "gateways: none of the name that was asked for; there are: apig-main",
        "did you mean apig-main?",
    ),
    *(
        Mistake("broker away", one, 69, f"broker: {LOST}", START, AWAY + SETTINGS)
        for one in (*READING, "topology apply")
    ),
    Mistake(
        "broker away",
        "sweep",
        69,
        f"broker: {LOST}; without it nothing is swept",
        START,
        AWAY
        + SETTINGS
        + """
[certificates.shop.lineage]
chain = "chain.pem"
private_key = "key.pem"
[trust.roots]
files = ["."]
""",
    ),
    Mistake(
        "broker away",
        f"publish shop {FILES}",
        69,
        f"{LOST}: 1 waiting in the spool; nothing is lost, the next publish sends them",
        "start the broker, or correct [broker] in the settings; then publish anything, or this again",
        AWAY + SETTINGS,
        lineage,
    ),
    *(Mistake("never begun", one, 69, UNMADE, MAKE, EMBEDDED + SETTINGS) for one in READING),
    *(
        Mistake("open to others", one, 78, OPEN, CLOSE, EMBEDDED + ANYWHERE, open_to_others)
        for one in (*READING, "run")
    ),
    Mistake(
        "no token",
        "discover apig-main",
        1,
        "apig-main: auth_failed: auth.token_file: cannot be read",
        "look at the gateway's auth in the settings, and at its files; `rotation-worker check` tries them",
    ),
    *(
        Mistake("no chain", f"{one} --chain {{folder}}/none --key {{folder}}/none", 65, told, PASS)
        for one, told in (
            ("rotate shop", "file_not_found: --chain: no such file"),
            ("plan shop", "file_not_found: --chain: no such file"),
            ("publish shop", "file_not_found: chain: no such file"),
        )
    ),
    *(
        Mistake(
            "half of it",
            f"{one} shop --chain {{folder}}/x",
            78,
            "--chain and --key go together",
            "name both files, or neither of them",
        )
        for one in ("rotate", "plan")
    ),
    Mistake(
        "half of it",
        "publish shop --chain x",
        64,
        "needs CERT, --chain and --key, or what an ACME client hands to its hook",
        "rotation-worker publish CERT --chain fullchain.pem --key privkey.pem",
    ),
    Mistake(
        "expired",
        f"publish shop {FILES}",
        65,
        "expired: certificate 1 has expired",
        RENEW,
        EMBEDDED + SETTINGS,
        expired,
    ),
    Mistake(
        "mixed up",
        f"publish shop {FILES}",
        65,
        "key_mismatch: key: is not the certificate's",
        PASS,
        EMBEDDED + SETTINGS,
        mixed_up,
    ),
    Mistake(
        "spool in the way",
        f"publish shop {FILES}",
        0,
        "sent without having been written down: {folder}/worker.toml: File exists",
        "make publish.spool a folder of the user who runs this, with room on its disk",
        EMBEDDED + SETTINGS.replace('"spool"', '"worker.toml"'),
        lineage,
    ),
    Mistake(
        "no lineage",
        "sweep shop",
        78,
        "certificates.shop.lineage: missing, there is nothing on disk to compare with",
        "add [certificates.shop.lineage] with chain and private_key",
    ),
    *(
        Mistake("no such letter", f"dead {one} x", 1, "not found: x", WHICH, EMBEDDED, queue)
        for one in ("list", "replay")
    ),
    Mistake(
        "port in use",
        "run",
        78,
        "http.listen: cannot listen there: Address already in use",
        "stop what listens there, or set http.listen to another port",
        made=taken,
    ),
    Mistake(
        "there already",
        "keygen worker --folder {folder}/keys",
        1,
        "{folder}/keys/worker.jwk: is there already, and is not overwritten",
        "go on with the pair that is there, or name another folder with --folder",
        made=a_pair,
    ),
    Mistake(
        "no folder",
        "keygen worker --folder {folder}/keys",
        1,
        "{folder}/keys: is there already, and is not overwritten",
        "go on with the pair that is there, or name another folder with --folder",
        made=no_folder,
    ),
    Mistake(
        "nameless",
        "keygen producer",
        64,
        "keygen worker, or keygen producer NAME",
        "give a producer the name that the certificates list; letters, digits, . _ - are allowed",
    ),
    Mistake(
        "another machine's",
        "sandbox --address 192.0.2.1",
        64,
        "--address: Cannot assign requested address",
        "name an address of this machine, such as 127.0.0.2",
    ),
    Mistake(
        "typo",
        "dead replya",
        2,
        "argument action: no such one: 'replya' (choose from 'list', 'replay', 'drop')",
        "did you mean replay?",
    ),
    Mistake("typo", "rotate shop --chian x", 2, "unrecognized arguments: --chian x", "did you mean --chain?"),
    Mistake(
        "nobody there",
        "status --url http://127.0.0.1:1",
        69,
        "http://127.0.0.1:1: no connection",
        "see whether `rotation-worker run` is at work there; --url names another place",
    ),
    Mistake(
        "no number",
        "sweep --wait soon",
        2,
        "argument --wait: invalid seconds value: 'soon'",
        "`rotation-worker sweep --help` shows what there is",
    ),
]
