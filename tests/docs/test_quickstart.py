"""What the README and the quick start tell is done by the real clients, word for word; clients see what was renewed.

lego 5 and acme.sh are in no package of Debian's: a stand-in calls their hooks as they do.
"""

from pathlib import Path
from typing import Final

import pytest

from tests.docs.host import NAME, Host, host, installed
from tests.docs.pages import blocks, read
from tests.support.rabbit import broker_settings

pytestmark = pytest.mark.acme
PAGE: Final = "docs/quickstart.md"
_LEGO_5: Final = """\
#!/bin/sh -e
test "$1" = run
while [ "$1" != --deploy-hook ]; do shift; done
export LEGO_HOOK_CERT_NAME={name} LEGO_HOOK_CERT_DOMAINS={name}
export LEGO_HOOK_CERT_PATH={folder}/fullchain.pem LEGO_HOOK_CERT_KEY_PATH={folder}/privkey.pem
exec sh -c "$2"
"""
_ACME_SH: Final = """\
#!/bin/sh -e
test "$*" = "--deploy -d {name} --deploy-hook rotation"
. {own}/deploy/rotation.sh
rotation_deploy {name} {folder}/privkey.pem {folder}/cert.pem {folder}/chain.pem {folder}/fullchain.pem
"""


async def renewed(there: Host) -> None:
    """A certificate that no hook was told of."""
    words = ("certonly", "--standalone", "-d", NAME, "--agree-tos", "-m", "you@example.com")
    await there.shell([f"certbot {' '.join(words)}"])


def stand_in(there: Host, name: str, text: str) -> None:
    told = {"name": NAME, "folder": there.folder / "certbot" / "live" / NAME, "own": there.folder / "acme.sh"}
    there.program(name, text.format(**told))


async def test_the_five_minutes_of_the_readme_end_with_a_certificate_that_clients_see(tmp_path: Path) -> None:
    async with installed(tmp_path) as there:
        await there.follow("README.md", "The first hook")
        await there.succeeds(1)


async def test_certbot_learns_its_hook(tmp_path: Path) -> None:
    async with installed(tmp_path) as there:
        await renewed(there)
        before = await there.served()
        await there.follow(PAGE, "Quick start for each ACME client", "certbot")
        assert await there.succeeds(1) != before
        await there.shell(["certbot renew --force-renewal"])
        await there.succeeds(2)


async def test_lego_4_calls_its_hooks(tmp_path: Path) -> None:
    async with installed(tmp_path) as there:
        await there.follow(PAGE, "lego 4")
        assert len({one["leaf"]["serial_number"] for one in await there.outcomes(2)}) == 2
        await there.succeeds(2)


async def test_lego_5_calls_its_hook(tmp_path: Path) -> None:
    async with installed(tmp_path) as there:
        await renewed(there)
        stand_in(there, "lego", _LEGO_5)
        await there.follow(PAGE, "lego 5")
        await there.succeeds(1)


async def test_acme_sh_calls_its_hook(tmp_path: Path) -> None:
    async with installed(tmp_path) as there:
        await renewed(there)
        stand_in(there, "acme.sh", _ACME_SH)
        await there.follow(PAGE, "acme.sh")
        await there.succeeds(1)


async def test_dehydrated_calls_its_hook(tmp_path: Path) -> None:
    async with installed(tmp_path) as there:
        await there.follow(PAGE, "dehydrated")
        await there.succeeds(1)


async def test_a_renewal_is_published_by_hand(tmp_path: Path) -> None:
    async with installed(tmp_path) as there:
        await renewed(there)
        await there.follow(PAGE, "By hand, or from anything else")
        await there.succeeds(1)


def of_its_own(url: str, folder: Path) -> dict[str, str]:
    """A broker's objects that no other test has; its URL stands where the pages say."""
    (folder / "etc").mkdir(exist_ok=True)
    file = folder / "etc" / "amqp-url"
    file.touch(mode=0o600)
    file.write_text(url, encoding="utf-8")
    names = broker_settings().model_dump(exclude={"url", "binding_keys"}, exclude_defaults=True)
    return {f"ROTATION_BROKER__{name.upper()}": str(value) for name, value in names.items()}


@pytest.mark.rabbitmq
async def test_a_producer_on_another_host_signs_and_seals(tmp_path: Path, rabbit: str) -> None:
    async with host(tmp_path, **of_its_own(rabbit, tmp_path)) as there:
        there.says['url = "sqlite:////var/lib/rotation-worker/broker.sqlite"'] = 'url_file = "amqp-url"'
        there.says = dict(reversed(there.says.items()))
        await there.follow("README.md", "Install: five minutes")
        await there.follow(PAGE, "On another host than the worker's")
        await there.succeeds(1)


def test_every_command_of_the_page_is_carried_out_here() -> None:
    """But for those that need nothing of the reader's own machine, none is left out."""
    followed = Path(__file__).read_text(encoding="utf-8")
    told = {block.heading for block in blocks(read(PAGE))}
    assert [heading for heading in told if f'"{heading}"' not in followed] == []
