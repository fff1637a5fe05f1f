"""What the runbook for leaked keys says is done, word for word; and whoever has the leaked one has nothing any more."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Final

import aio_pika
import pytest

from tests.docs.host import NAME, Host, host, installed
from tests.docs.pages import blocks, read, section
from tests.docs.test_quickstart import of_its_own
from tests.support.rabbit import running
from worker.sandbox.rabbit_node import RabbitNode

pytestmark = pytest.mark.acme
PAGE: Final = "docs/compromise.md"
FIRST: Final = ("README.md", "The first hook")


async def dead(there: Host, reason: str) -> None:
    """Until a renewal is given up for that."""
    while reason not in (await there.command("dead", "list"))[1]:
        await asyncio.sleep(0.05)


async def test_a_leaked_certificate_is_replaced_revoked_and_stays_away(tmp_path: Path) -> None:
    async with installed(tmp_path) as there:
        await there.follow(*FIRST)
        leaked = await there.succeeds(1)
        certbot, by_hand, seen, revoked = section(PAGE, "A certificate's private key has leaked")
        await asyncio.sleep(1)
        await there.carry_out(certbot)
        assert await there.succeeds(2) != leaked
        renewal = tmp_path / "certbot" / "renewal" / f"{NAME}.conf"
        assert "key_compromise" not in renewal.read_text(encoding="utf-8")
        assert "rotation-worker publish" in renewal.read_text(encoding="utf-8")
        await there.carry_out(seen)
        await there.carry_out(revoked)
        archive = tmp_path / "certbot" / "archive" / NAME
        there.says["--chain CHAIN --key KEY"] = f"--chain {archive}/fullchain1.pem --key {archive}/privkey1.pem"
        await there.carry_out(by_hand)
        assert (await there.outcomes(3))[-1]["outcome"] != "succeeded"
        assert await there.served() != leaked


async def test_by_hand_what_another_client_has_issued_is_sent_as_urgent(tmp_path: Path) -> None:
    async with installed(tmp_path) as there:
        await there.follow(*FIRST)
        leaked = await there.succeeds(1)
        await there.shell([f"lego --accept-tos --email you@example.com --domains {NAME} --http run"])
        files = tmp_path / "lego" / "certificates"
        there.says["--chain CHAIN --key KEY"] = f"--chain {files}/{NAME}.crt --key {files}/{NAME}.key"
        await there.carry_out(section(PAGE, "A certificate's private key has leaked")[1])
        assert await there.succeeds(2) != leaked


async def test_nothing_that_is_sealed_to_the_workers_leaked_key_is_opened_any_more(tmp_path: Path) -> None:
    async with installed(tmp_path) as there:
        for block in section(PAGE, "The worker's key has leaked")[:2]:
            await there.carry_out(block)
        await there.follow(*FIRST)
        await there.succeeds(1)
        old = (tmp_path / "etc" / "keys" / "worker.pub.jwk").read_bytes()
        await there.carry_out(section(PAGE, "The worker's key has leaked")[2])
        assert not (tmp_path / "etc" / "keys").exists()
        (tmp_path / "etc" / "keys-2" / "worker.pub.jwk").write_bytes(old)
        await asyncio.sleep(1)
        await there.shell(["certbot renew --force-renewal"])
        await dead(there, "cannot_decrypt")


async def test_what_a_producers_leaked_key_has_signed_is_refused(tmp_path: Path) -> None:
    """Its file is away from the worker's settings in the page; here both sides are one host with one broker."""
    async with installed(tmp_path) as there:
        sender, worker = tmp_path / "etc" / "publish.toml", tmp_path / "etc" / "worker.toml"
        there.says["producer = "] = "producer = "
        for block in section("docs/quickstart.md", "On another host than the worker's")[:3]:
            await there.carry_out(block)
        url = '[broker]\nurl = "sqlite:////var/lib/rotation-worker/broker.sqlite"'
        sender.write_text(sender.read_text().replace('[broker]\nurl_file = "amqp-url"', there.here(url)))
        assert "public_key" in worker.read_text()
        await there.stop()
        await there.start()
        renew, change, look, left = section(PAGE, "A producer's key has leaked")
        thief = tmp_path / "etc" / "thief.toml"
        thief.write_text(sender.read_text().replace("keys/acme-1.jwk", "stolen.jwk"))
        stolen = tmp_path / "etc" / "stolen.jwk"
        stolen.touch(mode=0o600)
        stolen.write_bytes((tmp_path / "etc" / "keys" / "acme-1.jwk").read_bytes())
        await there.carry_out(renew)
        await there.carry_out(change)
        hook = "--deploy-hook 'rotation-worker publish --config /etc/rotation-worker/{}.toml'"
        await there.shell(
            [f"certbot certonly --standalone -d {NAME} --agree-tos -m a@b.example {hook.format('thief')}"]
        )
        await dead(there, "bad_signature")
        await asyncio.sleep(1)
        await there.shell([f"certbot renew --force-renewal {hook.format('publish')}"])
        await there.succeeds(2)
        await there.carry_out(look)
        assert [one["data"]["outcome"] for one in json.loads(there.said[-1])] == ["succeeded", "failed"]
        await there.carry_out(left)
        assert "bad_signature" in there.said[-1]


async def test_a_new_credential_for_a_cloud_counts_without_a_restart(tmp_path: Path) -> None:
    async with installed(tmp_path) as there:
        changed, looked, compared = section(PAGE, "A cloud's credential has leaked")
        there.sandbox.iam.password = "another-password"
        there.sandbox.iam.tokens.clear()
        status, told = await there.command("check")
        assert (status, "auth_failed" in told) == (78, True)
        new = tmp_path / "etc" / "apig-password.new"
        new.touch(mode=0o600)
        new.write_text("another-password", encoding="utf-8")
        await there.carry_out(changed)
        await there.follow(*FIRST)
        await there.succeeds(1)
        await there.carry_out(looked)
        await there.carry_out(compared)
        assert "already current" in there.said[-1]


def administered(there: Host, node: RabbitNode) -> None:
    """`rabbitmqctl` is that node's, as on its own host."""
    there.program(
        "rabbitmqctl",
        f"#!{sys.executable}\nimport sys\nfrom pathlib import Path, PosixPath\n"
        f"from worker.sandbox.rabbit_node import RabbitNode\nprint({node!r}.ctl(*sys.argv[1:]), end='')\n",
    )


async def lets_in(url: str) -> bool:
    try:
        await (await aio_pika.connect(url)).close()
    except aio_pika.exceptions.AMQPConnectionError:
        return False
    return True


@pytest.mark.rabbitmq
@pytest.mark.usefixtures("rabbit")
async def test_a_leaked_password_of_the_broker_lets_nobody_in_and_the_worker_goes_on(tmp_path: Path) -> None:
    with running(tmp_path / "node") as node:
        for words in (("add_user", "rotation-worker", "leaked"), ("set_permissions", "rotation-worker", *[".*"] * 3)):
            node.ctl(*words)
        leaked = node.url.replace("guest:guest", "rotation-worker:leaked")
        async with host(tmp_path, **of_its_own(leaked, tmp_path)) as there:
            there.says['url = "sqlite:////var/lib/rotation-worker/broker.sqlite"'] = 'url_file = "amqp-url"'
            # A producer is known by its user here, which is the worker's own.
            there.says['"acme-1"'] = '"rotation-worker"'
            there.says = dict(reversed(there.says.items()))
            await there.follow("README.md", "Install: five minutes")
            administered(there, node)
            for name, text in (("amqp-url.new", leaked.replace("leaked", "another")), ("new-password", "another\n")):
                (tmp_path / "etc" / name).touch(mode=0o600)
                (tmp_path / "etc" / name).write_text(text, encoding="utf-8")
            thief, is_out = await aio_pika.connect(leaked), asyncio.Event()
            thief.close_callbacks.add(lambda *_: is_out.set())
            changed, seen, swept = section(PAGE, "A password of the broker has leaked")
            await there.carry_out(changed)
            await is_out.wait()
            assert not await lets_in(leaked)
            await there.carry_out(seen)
            await there.carry_out(swept)
            await there.follow(*FIRST)
            await there.succeeds(1)


def test_every_section_is_carried_out_here() -> None:
    followed = Path(__file__).read_text(encoding="utf-8")
    told = {block.heading for block in blocks(read(PAGE))}
    assert len(told) == 5
    assert [heading for heading in told if f'"{heading}"' not in followed] == []
