"""The overview as HTML, over a real socket."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import aiohttp
import pytest

from tests.support.fleets import NOW, StillFleet, sample_fleet
from tests.support.pages import Element, page_of, tree
from worker.effort import Refusal
from worker.fleet.standing import CertificateStanding, DeploymentStanding, Ended
from worker.fleet.values import Budget, Fleet, GatewayStanding, GivenUp, Parked, Running, Step

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}&amp;"
TURNED = "a\u202eb\ud800c\x1b[2J"
TILES = {"Well", "Unknown", "Parked", "Rotating", "Near expiry", "Failed", "Given up"}


async def shown(fleet: Fleet, path: str = "/") -> Element:
    return tree((await asked(fleet, path))[0])


async def asked(fleet: Fleet, path: str = "/") -> tuple[str, aiohttp.ClientResponse]:
    async with page_of(StillFleet(fleet)) as url, aiohttp.ClientSession() as session, session.get(url + path) as answer:
        return await answer.text(), answer


def rows(page: Element) -> Sequence[Element]:
    return [row for body in page.all("section", id="certificates")[0].all("tbody") for row in body.all("tr")]


def names(page: Element) -> list[str]:
    return [row.all("a")[0].text for row in rows(page)]


def numbers(page: Element) -> dict[str, int]:
    tiles = page.one("section", id="glance").all("a")
    return {tile.all("span")[1].text: int(tile.all("span")[0].text.replace(",", "")) for tile in tiles}


def hostile_fleet() -> Fleet:
    ended = Ended(HOSTILE, HOSTILE, "failed", HOSTILE, NOW, message=HOSTILE, serial_number=HOSTILE, warnings=(HOSTILE,))
    place = DeploymentStanding(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, outcome="failed", reason=HOSTILE, at=NOW)
    return Fleet(
        NOW,
        version=1,
        worker_version=HOSTILE,
        certificates=[CertificateStanding(HOSTILE, [place], ended, "failed")],
        running=[Running(HOSTILE, HOSTILE, NOW, steps=[Step(HOSTILE, HOSTILE, "attaching", 1, 1, 3, 4.0)])],
        parked=[Parked(HOSTILE, HOSTILE, HOSTILE, NOW, NOW, 2, HOSTILE)],
        dead=[GivenUp(HOSTILE, HOSTILE, HOSTILE, HOSTILE, NOW)],
        gateways=[GatewayStanding(HOSTILE, HOSTILE)],
        recent=[ended],
        history_problem=HOSTILE,
    )


@pytest.mark.parametrize("number", [0, 1, 50, 500])
async def test_the_numbers_of_all_groups_add_up_to_the_fleet(number: int) -> None:
    told = numbers(await shown(sample_fleet(number)))
    assert told.pop("All") == number
    assert set(told) == TILES
    assert sum(told.values()) == number


async def test_a_certificate_is_in_the_group_of_its_worst_trouble() -> None:
    fleet = sample_fleet(500)
    states = Counter(one.state for one in fleet.certificates)
    told = numbers(await shown(fleet))
    assert (told["Given up"], told["Failed"], told["Rotating"]) == (
        states["dead"],
        states["failed"],
        states["rotating"],
    )
    near = [
        one
        for one in fleet.certificates
        if (one.level(NOW) in ("urgent", "expired") and one.state in ("served", "parked", "unknown"))
        or (one.level(NOW) == "soon" and one.state in ("served", "unknown"))
    ]
    assert told["Near expiry"] == len(near)


async def test_the_first_line_says_how_many_somebody_has_to_look_at() -> None:
    fleet = sample_fleet(50)
    told = numbers(await shown(fleet))
    wrong = told["Given up"] + told["Failed"] + told["Near expiry"]
    assert (await shown(fleet)).one("h1").text == f"{wrong} of 50 certificates need attention"
    well = [replace(one, state="rotating") for one in fleet.certificates]
    assert (await shown(replace(fleet, certificates=well))).one("h1").text == "No certificate needs attention"
    (one,) = [replace(one, state="failed") for one in fleet.certificates[:1]]
    alone = await shown(replace(fleet, certificates=[one], dead=()))
    assert alone.one("h1").text == "1 of 1 certificate needs attention"


async def test_the_first_line_tells_of_what_was_given_up_for_no_certificate_here() -> None:
    fleet = sample_fleet(50)
    well = [replace(one, state="rotating") for one in fleet.certificates]
    lost = [GivenUp("7f0c", "shpo", "r", "unknown_certificate", NOW)]
    for certificates, number in ((well, "1 renewal"), ([], "2 renewals")):
        dead = lost * int(number[0])
        page = await shown(replace(fleet, certificates=certificates, dead=dead, dead_in_all=len(dead)))
        assert page.one("h1").text == f"{number} given up for what the settings do not have"


async def test_who_stands_by_does_not_say_what_it_cannot_know() -> None:
    lost = GivenUp("7f0c", "shpo", "r", "unknown_certificate", NOW, is_certain=False)
    page = await shown(Fleet(NOW, role="standing by", dead=[lost, lost], dead_in_all=1))
    assert page.one("section", id="running").text.endswith("the active worker shows what it does.")
    assert "0 renewals under way in this process · " in page.one("section", id="glance").text
    told = page.one("section", id="dead")
    assert "1 to look at Some may have been put back or dropped meanwhile: rotation-worker dead list" in told.text
    assert [one.text for one in told.all("code")] == ["rotation-worker dead list"] * 3
    told = (await shown(Fleet(NOW, role="standing by", dead_in_all=2))).one("section", id="dead")
    assert told.text.endswith("None is known by name here: rotation-worker dead list has all 2.")


async def test_all_certificates_are_listed_worst_first_each_once() -> None:
    fleet = sample_fleet(130)
    pages = [await shown(fleet, f"/?page={number}") for number in (1, 2, 3)]
    listed = [name for page in pages for name in names(page)]
    assert sorted(listed) == [one.name for one in fleet.certificates]
    states = [row.all("td", data_head="State")[0].text for page in pages for row in rows(page)]
    order = ["Given up", "Failed", "Near expiry", "Rotating", "Parked", "Unknown", "Well"]
    assert [order.index(state) for state in states] == sorted(order.index(state) for state in states)


async def test_a_page_beyond_the_last_is_the_last() -> None:
    fleet = sample_fleet(60)
    assert names(await shown(fleet, "/?page=999999")) == names(await shown(fleet, "/?page=2")) != []


@pytest.mark.parametrize(
    "query", ["page=-1", "page=0", "page=x", "page=9e9", "page=%F0", "state=%22", "span=year", "q=%ED%A0%80", "q=%00"]
)
async def test_an_address_that_says_nonsense_shows_a_page(query: str) -> None:
    _, answer = await asked(sample_fleet(3), f"/?{query}")
    assert answer.status == 200


async def test_a_search_finds_by_name_gateway_id_and_serial_number() -> None:
    fleet = sample_fleet(200)
    some = next(one for one in fleet.certificates if one.serial_numbers)
    serial = f"{int(some.serial_numbers[0]):X}"
    for text in (some.name.upper(), some.deployments[0].certificate_id, serial.lower(), some.serial_numbers[0]):
        assert some.name in names(await shown(fleet, f"/?q={text}"))
    assert names(await shown(fleet, f"/?q={some.name}")) == [some.name]
    everywhere = numbers(await shown(fleet, "/?q=nothing-is-like-that"))
    assert everywhere["All"] == 200, "the glance is of all, whatever was looked for"


async def test_a_group_lists_its_own_and_keeps_what_was_searched_for() -> None:
    fleet = sample_fleet(500)
    page = await shown(fleet, "/?state=failed&q=shop-00")
    assert {row.all("td", data_head="State")[0].text for row in rows(page)} == {"Failed"}
    assert page.one("input", type="search").attributes["value"] == "shop-00"
    assert all("q=shop-00" in tile.attributes["href"] for tile in page.one("section", id="glance").all("a"))
    (current,) = page.one("section", id="glance").all("a", aria_current="true")
    assert "Failed" in current.text


async def test_nothing_at_all_is_a_page_that_says_what_comes_next() -> None:
    page = await shown(Fleet(NOW))
    assert page.one("h1").text == "No certificate is set up"
    assert "rotation-worker discover" in page.one("section", id="glance").text
    assert page.one("section", id="running").text.endswith("Nothing runs just now.")
    assert not page.all("progress")


async def test_ten_thousand_certificates_are_a_small_page() -> None:
    fleet = sample_fleet(10_000)
    html, _ = await asked(fleet)
    assert len(rows(tree(html))) == 50
    assert len(html) < 130_000


async def test_what_strangers_wrote_is_text_and_nothing_else() -> None:
    html, _ = await asked(hostile_fleet(), f"/?q={HOSTILE.replace('&', '%26').replace('#', '%23')}")
    page = tree(html)
    assert {one.attributes.get("src", "") for one in (*page.all("script"), *page.all("img"))} == {
        *re.findall(r'src="(/static/[^"]+)"', html)
    }
    assert not [name for one in page.all() for name in one.attributes if name.startswith("on") or name == "style"]
    for part in ("attention", "running", "latest", "gateways", "glance"):
        assert " ".join(HOSTILE.split()).replace("_", " ") in page.all(id=part)[0].text.replace("_", " "), part


async def test_text_that_would_turn_lines_around_or_is_no_text_is_shown_without_that() -> None:
    fleet = replace(hostile_fleet(), history_problem=TURNED)
    html, answer = await asked(fleet)
    assert answer.status == 200
    assert "a\ufffdb\ufffdc\ufffd[2J" in html
    assert not set(html) & set("\u202e\x1b")


@pytest.mark.parametrize("number", [0, 50])
async def test_the_page_asks_nobody_else_for_anything_and_allows_no_other_code(number: int) -> None:
    html, answer = await asked(sample_fleet(number))
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    page = tree(html)
    places = [one.attributes.get(name, "/") for one in page.all() for name in ("href", "src", "action", "data-from")]
    assert [place for place in places if not re.match(r"/(?!/)|#", place)] == []
    assert not page.all("style")
    assert [one.text for one in page.all("script")] == [""]


@pytest.mark.parametrize("number", [0, 50, 500])
async def test_every_id_is_of_one_element_and_every_name_that_is_referred_to_is_there(number: int) -> None:
    page = await shown(sample_fleet(number))
    ids = [one.attributes["id"] for one in page.all() if "id" in one.attributes]
    assert sorted(ids) == sorted(set(ids))
    labels = [one.attributes[key] for one in page.all() for key in ("aria-labelledby",) if key in one.attributes]
    anchors = [one.attributes["href"][1:] for one in page.all("a") if one.attributes["href"].startswith("#")]
    symbols = [one.attributes["href"][1:] for one in page.all("use")]
    assert {*labels, *anchors, *symbols} - set(ids) == set()


async def test_each_gateway_shows_its_budget_its_hold_and_its_breaker() -> None:
    page = await shown(sample_fleet(50))
    down, held, well = (one.text for one in page.one("section", id="gateways").all("li"))
    assert "apig-eu" in down
    assert "The breaker is open since 3 min ago ; the next probe is in 12 s." in down
    assert "Held for 95 s" in held
    assert "60 of 60 calls in 60 s" in held
    assert "7 of 20 calls in 1 s" in well
    assert "2,100 of 3,000 calls in 5 min" in well
    assert "3 of 8 calls under way · 41 wait · about 5 min of work left" in well


async def test_of_a_gateway_whose_probe_is_due_it_is_shown_that_only_a_renewal_asks_it() -> None:
    page = await shown(Fleet(NOW, gateways=[GatewayStanding("apig", "huawei_apig", is_up=False, probe_in=0.0)]))
    assert "The breaker is open; it is asked again once a renewal needs it." in page.one("section", id="gateways").text


async def test_a_budget_that_is_guessed_or_told_is_shown_as_such() -> None:
    free = GatewayStanding("apig", "huawei_apig", budgets=[Budget(60, 19, 3, "guessed"), Budget(3600, 500, 80, "told")])
    page = await shown(Fleet(NOW, gateways=[free]))
    text = page.one("section", id="gateways").text
    assert "3 of 19 calls in 60 s (guessed)" in text
    assert "80 of 500 calls in 60 min (told)" in text


async def test_a_running_rotation_shows_how_far_it_is_and_how_long_it_takes() -> None:
    one = Running("shop", "1", NOW - timedelta(seconds=42), 3, is_urgent=True)
    steps = [Step("a/1", "a", "attaching", 120, 2, 400, 61.5), Step("b/1", "b", "verifying", 30, 0, 30, None)]
    waiting = Running("late", "2", NOW)
    page = await shown(Fleet(NOW, running=[waiting, replace(one, steps=steps)]))
    first, second = page.one("section", id="running").all("li")
    assert first.one("progress").attributes["max"] == "430"
    assert first.one("progress").attributes["value"] == "150"
    for text in ("150 of 430 bindings", "2 failed", "about 62 s left", "since 42 s", "attempt 3", "urgent"):
        assert text in first.text
    assert "waiting for its turn" in second.text
    assert not second.all("progress")


async def test_a_running_rotation_that_is_refused_says_by_what_and_since_when_and_no_estimate() -> None:
    refusal = Refusal("attach_domains", "gateway_unavailable", 503, NOW - timedelta(minutes=3))
    step = Step("a/1", "a", "attaching", 0, 0, 30, None, refusal)
    beside = Step("b/1", "b", "attaching", 1, 0, 30, 9.0)
    silent = replace(step, refusal=replace(refusal, status=None))
    running = [Running("shop", "1", NOW, steps=[step, beside]), Running("still", "2", NOW, steps=[silent])]
    page = await shown(Fleet(NOW, running=running))
    first, second = (one.text for one in page.one("section", id="running").all("li"))
    assert "attach domains refused : gateway unavailable (503) · since 3 min ago" in first
    assert "attach domains not answered : gateway unavailable · since 3 min ago" in second
    assert "left" not in first + second


async def test_what_waits_or_was_given_up_is_told_with_its_reason_and_what_that_means() -> None:
    dead = [GivenUp(f"d{number}", "shop", "r", "not_found", NOW, is_exposed=number == 0) for number in range(20)]
    parked = [Parked(None, None, "throttled", NOW, NOW + timedelta(minutes=9, seconds=5), 4)]
    known = [CertificateStanding("shop")]
    page = await shown(Fleet(NOW, certificates=known, dead=dead, dead_in_all=250, parked=parked, parked_in_all=70))
    given_up, waits = page.one("section", id="dead").text, page.one("section", id="parked").text
    assert "not found Certificate, domain, listener or group does not exist." in given_up
    assert "A key was in the open : issue a new one." in given_up
    assert "rotation-worker dead list" in given_up
    assert "250" in given_up
    assert "again in 9 min" in waits
    assert "throttled after attempt 4: Refused for too many calls" in waits
    assert "69 that another process parked, or this one before its restart: named at its next try." in waits
    assert "more." not in waits


@pytest.mark.parametrize(
    ("known", "in_all", "more", "elsewhere"),
    [
        (6, 6, "", ""),
        (60, 60, "And 54 more.", ""),
        (60, 61, "And 54 more.", "1 that another process parked"),
        (1000, 3000, "And 2,994 more.", ""),
    ],
)
async def test_what_is_parked_and_not_named_here_is_told_from_what_this_process_knows(
    known: int, in_all: int, more: str, elsewhere: str
) -> None:
    one = Parked("shop", "r", "throttled", NOW, NOW + timedelta(minutes=9))
    parked = [replace(one, renewal_id=f"r{number}") for number in range(known)]
    waits = (await shown(Fleet(NOW, parked=parked, parked_in_all=in_all))).one("section", id="parked").text
    assert (more in waits, "more." in waits) == (True, bool(more))
    assert (elsewhere in waits, "another process" in waits) == (True, bool(elsewhere))


async def test_what_has_no_page_of_its_own_says_on_this_one_what_it_means_and_what_to_type() -> None:
    found = [
        GivenUp("m1", "stranger", "r1", "unknown_certificate", NOW),
        GivenUp("m2", None, None, "malformed", NOW),
        GivenUp("", None, None, "malformed", NOW),
        GivenUp("", None, None, "unsupported_version", NOW),
        GivenUp("", None, None, "malformed", NOW - timedelta(seconds=1)),
        GivenUp("m3", "shop", "r3", "not_found", NOW),
    ]
    page = await shown(Fleet(NOW, certificates=[CertificateStanding("shop")], dead=found, dead_in_all=len(found)))
    told = page.one("section", id="dead").all("li")
    typed = [[code.text for code in one.all("code")] for one in told]
    listed = ["rotation-worker dead list"]
    assert typed == [["rotation-worker dead replay m1"], ["rotation-worker dead replay m2"], listed, listed, listed, []]
    assert all("What to do:" in one.text for one in told[:5])
    ids = [one.attributes["id"] for one in told]
    assert len(set(ids)) == len(ids), "none is taken for another one"


async def test_the_plots_have_the_same_as_words_and_as_a_table() -> None:
    fleet = sample_fleet(50)
    for word, series in zip(("hour", "days", "months"), fleet.series, strict=True):
        page = await shown(fleet, f"/?span={word}")
        picture, _ = page.one("section", id="history").all("svg", role="img")
        ended = [sum(getattr(one, name) for one in series.buckets) for name in ("succeeded", "failed", "superseded")]
        said = "{:,} succeeded, {:,} failed, and {:,} were superseded".format(*ended)
        assert said in picture.attributes["aria-label"]
        table = page.one("details", id="outcomes-table")
        cells = [[int(cell.text) for cell in row.all("td")] for row in table.one("tbody").all("tr")]
        assert [sum(column) for column in zip(*cells, strict=True)] == ended


async def test_the_head_says_whether_this_worker_is_the_one_at_work() -> None:
    for role, word in {"consuming": "Consuming", "standing by": "Standing by", "draining": "Draining"}.items():
        page = await shown(replace(sample_fleet(3), role=role))  # type: ignore[arg-type]  # as the loop has it
        assert page.one(id="role").text == word
    assert (await shown(replace(sample_fleet(3), role="not connected"))).one(id="role").text == "Broker not connected"
