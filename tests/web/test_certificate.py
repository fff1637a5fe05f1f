"""A certificate's own page as HTML, over a real socket."""

import argparse
import shlex
from dataclasses import dataclass, replace
from typing import get_args

import aiohttp
import pytest

from tests.support.fleets import NOW, StillFleet, sample_fleet
from tests.support.pages import Element, page_of, tree
from tests.support.turns import counted
from tests.web.test_live import events
from tests.web.test_overview import HOSTILE
from worker.commands.dead import configure
from worker.fleet.standing import CertificateStanding, Counts, DeploymentStanding, Ended, State
from worker.fleet.values import BindingStanding, CertificateDetails, DeploymentDetails, Fleet, GivenUp, Parked, Running
from worker.web.certificate import certificate_page
from worker.web.rendering import CERTIFICATE_PARTS, certificate_html


@dataclass
class One:
    """A source of one certificate."""

    details: CertificateDetails

    async def fleet(self) -> Fleet:
        return Fleet(NOW)

    async def certificate(self, name: str) -> CertificateDetails | None:
        return self.details if name == self.details.standing.name else None

    async def changed(self, since: int) -> int:
        return since


PLACE = DeploymentStanding("apig-main/a27b", "apig-main", "blue_green", "a27b", "4660", outcome="failed", at=NOW)
LAST = Ended("shop", "r1", "failed", "binding_failed", NOW, bindings=Counts(3, 1, 1, 1))


def details(**more: object) -> CertificateDetails:
    standing = CertificateStanding("shop", [replace(PLACE, bindings=Counts(3, 1, 1, 1))], LAST, "failed")
    return replace(CertificateDetails(NOW, 1, standing, [DeploymentDetails(standing.deployments[0])]), **more)  # type: ignore[arg-type]


async def shown(one: CertificateDetails, path: str = "/certificates/shop") -> Element:
    async with page_of(One(one)) as url, aiohttp.ClientSession() as session, session.get(url + path) as answer:
        assert answer.status == 200
        return tree(await answer.text())


async def test_it_shows_every_deployment_with_every_binding_and_why_one_failed() -> None:
    failed = BindingStanding("domain", "old.example.com", "f0fa", "failed", "not_found", 404, "APIG.3020", "gone", 3)
    more = [BindingStanding("domain", f"www-{number}.example.com", None, "attached") for number in range(150)]
    place = DeploymentDetails(PLACE, [failed, *more], is_complete=True)
    page = await shown(details(deployments=[place]))
    listed = page.one(id="deployments").one("table").one("tbody").all("tr")
    assert len(listed) == 1
    assert len(page.one("ul", **{"class": "names"}).all("li")) == 99
    for text in (
        "old.example.com",
        "domain on f0fa",
        "failed",
        "not found",
        "tried 3 times",
        "404",
        "APIG.3020",
        "gone",
    ):
        assert text in listed[0].text
    assert "not found : Certificate, domain, listener or group does not exist." in page.one(id="deployments").text
    assert (
        "What to do: correct the deployment in the settings; rotation-worker discover GATEWAY prints what there is."
        in page.one(id="deployments").text
    )
    assert "And 51 more." in page.one(id="deployments").text
    whole = await shown(details(deployments=[place]), "/certificates/shop?bindings=all")
    assert [one.text for one in whole.one("ul", **{"class": "names"}).all("li")] == [
        f"{one.name} domain" for one in more
    ]
    assert len(whole.all("span", data_from="/certificates/shop/live?bindings=all")) == 1


async def test_what_the_head_of_the_page_explains_is_not_explained_again_below_it() -> None:
    letters = [GivenUp(reason, "shop", "r", reason, NOW) for reason in (LAST.reason, "conflict")]
    page = await shown(details(dead=letters))
    explained = {part: page.one(id=part).text.count("What to do:") for part in ("standing", "now")}
    assert explained == {"standing": 1, "now": 1}


@pytest.mark.parametrize("state", get_args(State))
async def test_it_says_once_that_nothing_tries_it_again_and_only_while_nothing_waits_or_runs(state: State) -> None:
    bad = BindingStanding("domain", "old.example.com", None, "failed", "not_found")
    one = details(deployments=[DeploymentDetails(PLACE, [bad])])
    page = await shown(replace(one, standing=replace(one.standing, state=state)))
    said = {part: page.one(id=part).text for part in ("standing", "deployments")}
    assert all("What to do:" in text for text in said.values())
    assert said["standing"].count("not tried again by itself") == (state in ("dead", "failed"))
    assert "not tried again by itself" not in said["deployments"]


async def test_a_list_of_very_many_bindings_stands_still_while_the_rest_of_the_page_goes_on() -> None:
    many = [BindingStanding("domain", f"www-{number}.example.com", None, "attached") for number in range(3000)]
    one = details(deployments=[DeploymentDetails(PLACE, many, is_complete=True)])
    page = await shown(one, "/certificates/shop?bindings=all")
    assert "load it again" in page.one(id="deployments").text
    async with page_of(One(one)) as url, aiohttp.ClientSession() as session:
        for query, still in {"": set[str](), "?bindings=all": {"deployments"}}.items():
            async with session.get(f"{url}/certificates/shop/live{query}") as answer:
                assert {*CERTIFICATE_PARTS} - set((await anext(events(answer)))[1]) == still
    async with counted() as turns:
        html = await certificate_html(certificate_page(one, is_whole=True), live="/")
    assert html.count("<li>") == 3000
    assert turns.had >= 10, "others have their turns while it is made"


async def test_a_name_is_never_shown_for_the_id_of_what_is_stored() -> None:
    named = replace(PLACE, key="apig-main/blog", certificate_id=None)
    for place, text in ((named, "not known yet, by its name blog"), (replace(named, stored_as="ef53"), "ef53 Serves")):
        page = await shown(details(deployments=[DeploymentDetails(place)]))
        assert f"Stored as {text}" in page.one(id="deployments").text


async def test_it_says_so_where_only_failed_bindings_are_known_by_name() -> None:
    page = await shown(details())
    assert "Outcomes name only what failed" in page.one(id="deployments").text


async def test_what_to_type_puts_back_that_very_message_whatever_its_id() -> None:
    parser = argparse.ArgumentParser()
    configure(parser)
    for name in ("7f0c", "a b'c\"$(reboot)`id`;&|<>", "-rf", "--help", "ü"):
        page = await shown(details(dead=[GivenUp(name, "shop", "r", "not_found", NOW)]))
        typed = shlex.split(page.one(id="now").one("code").text)
        assert typed[:3] == ["rotation-worker", "dead", "replay"]
        assert parser.parse_args(typed[2:]).ids == [name]


async def test_what_was_not_kept_cannot_be_replayed_and_is_to_be_published_anew() -> None:
    page = await shown(details(dead=[GivenUp("7f0c", "shop", "r", "plain_key_refused", NOW, True, True)]))
    text = page.one(id="now").text
    assert "dead replay" not in text
    assert page.one(id="now").one("code").text.startswith("rotation-worker publish --chain ")
    assert page.one(id="now").one("code").text.endswith(" shop")
    assert "A key was in the open : issue a new one." in text


async def test_what_may_be_gone_from_the_dead_queue_is_not_offered_to_be_replayed() -> None:
    page = await shown(details(dead=[GivenUp("7f0c", "shop", "r", "not_found", NOW, is_certain=False)]))
    now = page.one(id="now")
    assert "It may have been put back or dropped meanwhile" in now.text
    assert [one.text for one in now.all("code")] == ["rotation-worker dead list"] * 2


async def test_it_shows_what_runs_what_waits_and_what_was_before() -> None:
    history = [
        replace(LAST, renewal_id=f"r{number}", message=f"told {number}", served_after=61.0) for number in range(3)
    ]
    parked = Parked("shop", "r", "throttled", NOW, NOW, 2, "for 95 seconds")
    page = await shown(details(history=history, running=[Running("shop", "r9", NOW, calls=1)], parked=[parked]))
    assert "It waits for its turn." in page.one(id="now").text
    assert "1 call so far" in page.one(id="now").text
    assert "throttled, after attempt 2: for 95 seconds" in page.one(id="now").text
    told = [row.text for row in page.one("section", id="past").one("tbody").all("tr")]
    assert [f"told {number}" in row for number, row in enumerate(told)] == [True] * 3
    assert "served after 61 s" in told[0]


async def test_its_own_words_are_text_and_nothing_else() -> None:
    standing = CertificateStanding("shop", [replace(PLACE, gateway=HOSTILE)], replace(LAST, message=HOSTILE), "failed")
    bad = BindingStanding(HOSTILE, HOSTILE, HOSTILE, "failed", HOSTILE, 404, HOSTILE, HOSTILE, 1)
    dead, parked = (
        GivenUp(HOSTILE, "shop", HOSTILE, HOSTILE, NOW),
        Parked("shop", HOSTILE, HOSTILE, NOW, NOW, 1, HOSTILE),
    )
    history = [replace(LAST, renewal_id=HOSTILE, reason=HOSTILE, message=HOSTILE, warnings=(HOSTILE,))]
    place = DeploymentDetails(replace(PLACE, gateway=HOSTILE, key=HOSTILE, certificate_id=HOSTILE), [bad])
    page = await shown(CertificateDetails(NOW, 1, standing, [place], history, dead=[dead], parked=[parked]))
    assert len(page.all("img")) == 1, "the mark at the top"
    assert len(page.all("script")) == 1, "the page's own"
    assert not [name for one in page.all() for name in one.attributes if name.startswith("on")]
    for part in ("standing", "now", "deployments", "past"):
        assert "onerror=alert(2)>{{ 7 * 7 }}&amp;" in page.one(id=part).text


async def test_a_name_that_is_not_in_the_settings_is_told_so_and_is_not_markup() -> None:
    async with page_of(StillFleet(sample_fleet(3))) as url, aiohttp.ClientSession() as session:
        for path in ("/certificates/%3Cscript%3Ealert(1)%3C%2Fscript%3E", "/certificates/x/live"):
            async with session.get(url + path) as answer:
                assert answer.status == 404
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
                assert len(tree(await answer.text()).all("script")) == 1
