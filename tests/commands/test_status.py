"""`rotation-worker status`: what a worker shows, as tables or as JSON, and what to do where there is none."""

import json
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.commands.processes import run
from tests.settings.files import written
from tests.support.fleets import NOW, StillFleet, sample_fleet
from tests.support.pages import tree
from tests.support.ports import free_port
from worker.broker.base import BrokerState
from worker.effort import Refusal
from worker.fleet.standing import State
from worker.fleet.values import Budget, Fleet, GatewayStanding, Running, Step, replay_command
from worker.reasons import meanings
from worker.sandbox.ca import Authority, Issued
from worker.settings.http import Http
from worker.telemetry import Metrics
from worker.web.server import Health, serving

ALONE = "next: give HOST:PORT alone, such as http://127.0.0.1:8080: the path is added to it"
TOKEN = "an-operators-token-of-some-length"
ELSEWHERE = "0.0.0.0"  # noqa: S104 - nobody listens
"""This machine by a name that is none of loopback."""
ENCRYPTED = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"words"))
    .decode()
)


@asynccontextmanager
async def served(number: int = 50, fleet: Fleet | None = None, **settings: Any) -> AsyncIterator[str]:
    async def state() -> BrokerState:
        return BrokerState(is_connected=True, is_active=True)

    http = Http.model_validate({"listen": "127.0.0.1:0", **settings})
    async with serving(Health(state, Metrics()), http, StillFleet(fleet or sample_fleet(number))) as port:
        yield f"{'https' if http.cert_file else 'http'}://127.0.0.1:{port}"


async def test_the_fleet_is_printed_with_what_is_worst_last() -> None:
    async with served() as url:
        status, said, complained = await run("status", "--url", url)
    assert (status, complained) == (0, "")
    lines = said.splitlines()
    names = [line.split()[0] for line in lines if line.startswith("shop-")]
    assert len(set(names[:50])) == 50
    assert names[49] == "shop-00030", "it was given up"
    assert "rotation-worker dead replay dead-shop-00030" in said
    for told in ("2/3, 1 failed", "attaching", "down, asked again in 12 s", "held for 95 s", "2100/3000 in 300 s"):
        assert told in said
    assert lines[-1].startswith(
        "consuming; 50 certificates: 1 dead, 2 failed, 9 expiring, 2 rotating, 1 parked, 1 unknown, 34 well"
    )


async def test_what_may_be_gone_from_the_dead_queue_is_not_offered_to_be_replayed() -> None:
    fleet = sample_fleet(50)
    async with served(fleet=replace(fleet, dead=[replace(one, is_certain=False) for one in fleet.dead])) as url:
        _, said, _ = await run("status", "--url", url)
    assert "dead replay" not in said
    assert "rotation-worker dead list (it may be gone)" in said


async def test_a_budget_that_is_guessed_or_told_is_printed_as_such() -> None:
    budgets = [Budget(1, 20, 2), Budget(60, 19, 3, "guessed"), Budget(3600, 500, 80, "told")]
    fleet = replace(sample_fleet(1), gateways=[GatewayStanding("apig", "huawei_apig", budgets=budgets)])
    async with served(fleet=fleet) as url:
        _, printed, _ = await run("status", "--url", url)
    assert "2/20 in 1 s, 3/19 in 60 s (guessed), 80/500 in 3600 s (told)" in printed


async def test_of_a_gateway_whose_probe_is_due_it_is_printed_that_only_a_renewal_asks_it() -> None:
    standings = [GatewayStanding(f"g{seconds}", "bycloud", is_up=False, probe_in=seconds) for seconds in (0.0, 0.2)]
    async with served(fleet=replace(sample_fleet(1), gateways=standings)) as url:
        _, printed, _ = await run("status", "--url", url)
    assert "down, asked again once a renewal needs it" in printed
    assert "down, asked again in 1 s" in printed


async def test_what_is_refused_is_printed_with_why_and_since_when_and_no_estimate() -> None:
    refusal = Refusal("attach_domains", "gateway_unavailable", 503, NOW)
    step = Step("a/1", "a", "attaching", 0, 0, 30, None, refusal)
    fleet = replace(sample_fleet(3), running=[Running("shop-00000", "r", NOW, calls=9, steps=[step])])
    async with served(fleet=fleet) as url:
        _, said, _ = await run("status", "--url", url)
    (line,) = [one for one in said.splitlines() if "attach_domains" in one]
    assert " ".join(line.split()) == (
        "shop-00000 attaching 0/30 9 attach_domains: gateway_unavailable 503, since 2026-11-20T10:00:00Z"
    )


async def test_the_order_is_the_pages_the_other_way_round() -> None:
    async with served(250) as url:
        _, said, _ = await run("status", "--url", url, "--all")
        async with aiohttp.ClientSession() as session:
            shown: list[str] = []
            while len(shown) < 250:
                async with session.get(f"{url}/?page={len(shown) // 50 + 1}") as answer:
                    rows = tree(await answer.text()).one(id="table").one("tbody").all("tr")
                    shown += [row.all("a")[0].text for row in rows]
    listed = [line.split()[0] for line in said.splitlines() if line.startswith("shop-")]
    assert listed[:250] == shown[::-1]


async def test_what_has_expired_is_printed_however_many_wait_or_run() -> None:
    fleet = sample_fleet(1000)
    waiting = [
        replace(one, state="parked" if number % 2 else "rotating") for number, one in enumerate(fleet.certificates)
    ]
    days = {one.name: one.days_left(fleet.at) for one in fleet.certificates}
    gone = min((one for one in fleet.certificates if days[one.name] is not None), key=lambda one: days[one.name] or 0)
    mixed = [gone if one.name == gone.name else one for one in waiting]
    assert (gone.state, gone.level(fleet.at)) == ("served", "expired")
    async with served(fleet=replace(fleet, certificates=mixed)) as url:
        _, said, _ = await run("status", "--url", url)
    assert f"\n{gone.name} " in said


async def test_of_very_many_only_the_worst_are_printed_unless_all_are_asked_for() -> None:
    async with served(250) as url:
        _, worst, _ = await run("status", "--url", url)
        _, every, _ = await run("status", "--url", url, "--all")
    assert worst.startswith("50 more fare better: --all")
    assert "shop-00030" in worst
    listed = [{line.split()[0] for line in text.splitlines() if line.startswith("shop-")} for text in (worst, every)]
    assert [len(names) for names in listed] == [200, 250]


@pytest.mark.parametrize(
    ("name", "words"),
    [("r-1", ["r-1"]), ("$(reboot)", ["$(reboot)"]), ("a;b 'c", ["a;b 'c"]), ("--help", ["--", "--help"])],
)
def test_what_is_printed_to_be_pasted_is_one_command_whatever_the_id(name: str, words: list[str]) -> None:
    assert shlex.split(replay_command(name)) == ["rotation-worker", "dead", "replay", *words]


async def test_one_certificate_is_printed_with_its_bindings_and_its_past() -> None:
    async with served() as url:
        status, said, _ = await run("status", "shop-00024", "--url", url)
        unknown = await run("status", "nosuch", "--url", url, "--json")
    assert status == 0
    for told in ("old-0.example.com", "not_found", "no such domain", "www-0.example.com", "renewal-00024-4"):
        assert told in said
    assert (unknown[0], json.loads(unknown[1])["error"]["reason"]) == (1, "unknown_certificate")


async def test_of_one_certificate_it_is_said_what_its_reasons_mean_and_what_to_do_and_why_it_waits() -> None:
    fleet = sample_fleet(50)
    waiting = fleet.parked[0]
    async with served(fleet=fleet) as url:
        _, failed, _ = await run("status", "shop-00024", "--url", url)
        _, parked, _ = await run("status", str(waiting.certificate), "--url", url)
    known = meanings()["not_found"]
    assert f"not_found: {known.text}\n  what to do: {known.advice}." in failed
    assert f"{waiting.certificate} waits: {waiting.message or meanings()[waiting.reason].gist}" in parked


@pytest.mark.parametrize("state", ["dead", "parked"])
async def test_it_says_once_that_nothing_tries_it_again_and_only_while_nothing_waits_or_runs(state: State) -> None:
    fleet = sample_fleet(50)
    certificates = [replace(one, state=state) for one in fleet.certificates if one.name == "shop-00024"]
    async with served(fleet=replace(fleet, certificates=certificates)) as url:
        _, said, _ = await run("status", "shop-00024", "--url", url)
    assert said.count("what to do:") > 1, "of each of its reasons"
    assert said.count("not tried again by itself") == (state == "dead")


async def test_for_machines_it_is_the_document_that_the_worker_serves() -> None:
    async with served() as url:
        status, said, _ = await run("status", "--json", "--url", url)
        _, one, _ = await run("status", "shop-00001", "--json", "--url", f"{url}/")
    assert status == 0
    assert [it["name"] for it in json.loads(said)["certificates"]] == [f"shop-{n:05d}" for n in range(50)]
    assert json.loads(one)["certificate"]["name"] == "shop-00001"


async def test_where_and_with_which_token_is_in_the_settings(tmp_path: Path) -> None:
    token = written(tmp_path, TOKEN, "token")
    async with served(0, token_file=token) as url:
        listen = url.removeprefix("http://")
        settings = written(tmp_path, f'[http]\nlisten = "{listen}"\ntoken_file = "token"\n')
        everywhere = written(
            tmp_path, f'[http]\nlisten = "0.0.0.0:{listen.split(":")[1]}"\ntoken_file = "token"\n', "all.toml"
        )
        for file in (settings, everywhere):
            status, said, _ = await run("status", "--config", file)
            assert (status, "No certificate is in the settings." in said) == (0, True)
        assert (await run("status", "--url", url, "--token-file", token))[0] == 0
        status, _, complained = await run("status", "--url", url)
        assert (status, "--token-file" in complained) == (69, True)


async def test_the_settings_token_goes_to_the_place_that_they_name_and_to_no_other(tmp_path: Path) -> None:
    token = written(tmp_path, TOKEN, "token")

    def settings(listen: str) -> Path:
        return written(tmp_path, f'[http]\nlisten = "{listen}"\ntoken_file = "token"\n')

    async with served(0, token_file=token) as url:
        listen = url.removeprefix("http://")
        for own in (listen, "127.0.0.1:0"):
            assert (await run("status", "--config", settings(own), "--url", url))[0] == 0, "it was refused"
        named = ("env", f"ROTATION_CONFIG={settings(listen)}")
        assert (await run("status", "--url", url.replace("127.0.0.1", "localhost"), before=named))[0] == 0
        for other in (f"127.0.0.1:{free_port()}", f"192.0.2.1:{listen.split(':')[1]}"):
            status, _, complained = await run("status", "--config", settings(other), "--url", url)
            assert (status, "--token-file" in complained) == (69, True), "the token was sent"


async def test_of_a_port_that_the_system_chooses_it_is_told_who_knows_it(tmp_path: Path) -> None:
    settings = written(tmp_path, '[http]\nlisten = "127.0.0.1:0"\n')
    status, _, complained = await run("status", "--config", settings)
    assert (status, complained.splitlines()[-1]) == (
        69,
        "next: port 0: the log's `worker.started` names the port; give it with --url",
    )


def certified(folder: Path, name: str, issued: Issued) -> tuple[Path, Path]:
    """Files with a certificate and its key."""
    return written(folder, issued.chain_pem, f"{name}.pem"), written(folder, issued.private_key_pem, f"{name}.key")


async def test_where_client_certificates_are_asked_for_one_is_enough(tmp_path: Path) -> None:
    hosts, operators = Authority.create("Hosts"), Authority.create("Operators")
    chain, key = certified(tmp_path, "http", hosts.issue(["127.0.0.1"]))
    mine, my_key = certified(
        tmp_path, "me", operators.issue(["me.example.com"], usage=[ExtendedKeyUsageOID.CLIENT_AUTH])
    )
    ca, operators_ca = (
        written(tmp_path, one.root_pem, f"{name}-ca.pem") for name, one in (("h", hosts), ("o", operators))
    )
    async with served(cert_file=chain, key_file=key, client_ca_file=operators_ca) as url:
        place = ("status", "--url", url, "--ca-file", ca)
        status, said, _ = await run(*place, "--cert-file", mine, "--key-file", my_key)
        assert (status, "50 certificates" in said) == (0, True)
        status, _, complained = await run(*place)
        assert (status, "--cert-file" in complained) == (69, True)
        lines = [f'listen = "{url.removeprefix("https://")}"', f'cert_file = "{chain}"', f'key_file = "{key}"']
        settings = written(tmp_path, "[http]\n" + "\n".join([*lines, f'client_ca_file = "{operators_ca}"']))
        by_settings = ("status", "--config", settings, "--ca-file", ca)
        assert (await run(*by_settings, "--cert-file", mine, "--key-file", my_key))[0] == 0
    encrypted = written(tmp_path, ENCRYPTED, "encrypted.key")
    for cert_file, key_file in ((mine, key), (mine, encrypted), (tmp_path / "none", my_key)):
        status, _, complained = await run(*place, "--cert-file", cert_file, "--key-file", key_file)
        assert (status, "--cert-file, --key-file: cannot be used" in complained) == (78, True)
    assert (await run(*place, "--cert-file", mine))[0] == 78
    assert (await run("status", "--url", "http://127.0.0.1:1", "--cert-file", mine, "--key-file", my_key))[0] == 78


async def test_a_token_is_not_sent_in_the_open_to_another_host_unless_that_is_meant(tmp_path: Path) -> None:
    token = written(tmp_path, TOKEN, "token")
    there = f"http://{ELSEWHERE}:{free_port()}"
    status, _, complained = await run("status", "--url", there, "--token-file", token)
    assert (status, "in the open" in complained, "--insecure" in complained) == (78, True, True)
    assert (await run("status", "--url", there, "--token-file", token, "--insecure"))[0] == 69, "it was asked"
    assert (await run("status", "--url", there))[0] == 69, "there is nothing to be read on the way"


@pytest.mark.parametrize("is_json", [False, True])
async def test_where_no_worker_is_it_says_what_to_do(*, is_json: bool) -> None:
    words = ("status", "--url", f"http://127.0.0.1:{free_port()}", *(["--json"] if is_json else []))
    status, said, complained = await run(*words)
    told = json.loads(said)["next"] if is_json else complained
    assert status == 69
    assert "rotation-worker run" in told


async def test_what_is_no_worker_is_told_apart() -> None:
    async with served() as url:
        for path in ("/nowhere", "/status.json"):
            status, _, complained = await run("status", "--url", f"{url}{path}")
            assert (status, "404" in complained, complained.splitlines()[-1]) == (69, True, ALONE)


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("worker.example.com", ()),
        ("ftp://127.0.0.1:8080", ()),
        ("http://", ()),
        ("http://127.0.0.1:99999", ()),
        ("http://127.0.0.1:abc", ()),
        ("http://[::1", ()),
        ("http://[::1", ("--token-file", "token")),
        ("http://xn--:8080", ()),
        ("http://127.0.0.1:8080?all", ()),
        ("http://127.0.0.1\t:8080", ()),
    ],
)
async def test_a_mistyped_url_is_told_as_such_and_how_it_is_written(url: str, token: tuple[str, ...]) -> None:
    status, _, complained = await run("status", "--url", url, *token)
    form = "rotation-worker: --url: http://HOST:PORT or https://HOST:PORT is the form"
    assert (status, complained.splitlines()) == (78, [form, ALONE])


@pytest.mark.parametrize(
    ("before", "more"),
    [("operator:{}@", ()), ("operator:{}@", ("--json",)), ("{}@", ("--insecure",)), (":{}@", ()), ("me:12/{}@", ())],
)
async def test_a_password_in_the_url_is_neither_sent_nor_printed(before: str, more: tuple[str, ...]) -> None:
    url = f"http://{before.format(TOKEN)}127.0.0.1:{free_port()}"
    status, said, complained = await run("status", "--url", url, *more)
    first = "rotation-worker: --url: a user or a password does not belong in it"
    step = "next: give HOST:PORT alone, and the token in a file with --token-file"
    assert (status, complained.splitlines()) == (78, [first, step])
    assert TOKEN not in said + complained


async def test_a_token_file_that_cannot_be_read_is_told_by_who_names_it(tmp_path: Path) -> None:
    at = f"127.0.0.1:{free_port()}"
    status, _, complained = await run("status", "--url", f"http://{at}", "--token-file", tmp_path / "none")
    named = ["--token-file: cannot be read", "name a file that has the worker's token, on one line, with --token-file"]
    assert (status, complained) == (78, f"rotation-worker: {named[0]}\nnext: {named[1]}\n")
    settings = written(tmp_path, f'[http]\nlisten = "{at}"\ntoken_file = "none"\n')
    status, _, complained = await run("status", "--config", settings, "--url", f"http://{at}")
    assert (status, complained.splitlines()[0]) == (78, "rotation-worker: http.token_file: cannot be read")
    assert "rotation-worker check" in complained
    token = written(tmp_path, TOKEN, "token")
    token.chmod(0o644)
    status, _, complained = await run("status", "--url", f"http://{at}", "--token-file", token)
    assert (status, "chmod 600" in complained) == (78, True)
