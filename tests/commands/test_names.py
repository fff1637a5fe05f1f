"""A certificate that is named and not known is no empty answer: what there is, is told."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.commands.processes import run
from tests.settings.files import APIG, certificate, in_place, written
from tests.support.judging import kept_by_all
from worker.broker import open_broker
from worker.broker.base import Broker, Message
from worker.core.events import outcome_event
from worker.core.outcome import Report, Timing
from worker.core.secret import Secret
from worker.settings.loading import load

SETTINGS = '[broker]\nurl = "sqlite:///queue.db"\n' + APIG
COMMANDS = ("history nosuch", "dead list --certificate nosuch", "dead replay --certificate nosuch")


def at(folder: Path, *names: str) -> Path:
    return written(
        folder, SETTINGS + "".join(certificate(in_place(certificate_id=f'"{name}"'), name=name) for name in names)
    )


def opened(path: Path) -> Broker:
    settings = load(path, {})
    return open_broker(
        settings.broker, Secret(f"sqlite:///{path.parent}/queue.db"), settings.retry, exposes=kept_by_all
    )


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_certificate_of_which_nothing_is_known_is_refused(tmp_path: Path, command: str) -> None:
    path = at(tmp_path, "shop", "blog")
    broker = opened(path)
    await broker.declare()
    await broker.close()
    told = "rotation-worker: certificates: none of the name that was asked for; there are: blog, shop\n"
    told += "next: use a name that the settings have, or add it there below [certificates]\n"
    assert await run(*command.split(), "--config", path) == (78, "", told)
    status, said, _ = await run(*command.replace("nosuch", "shop").split(), "--config", path)
    assert (status, bool(said)) == (0, True), "of one that is known nothing is an answer"


@pytest.mark.parametrize("command", COMMANDS)
async def test_one_that_is_no_more_in_the_settings_is_found_as_long_as_there_is_anything(
    tmp_path: Path, command: str
) -> None:
    path, now = at(tmp_path, "shop"), datetime.now(UTC)
    broker = opened(path)
    await broker.publish_renewal(Message(b"{}", "application/json"))
    async with broker.deliveries() as deliveries:
        await (await anext(deliveries)).bury("malformed", keep_body=True, certificate="nosuch")
    timing = Timing(now, now, 1.0, 1)
    report = Report("succeeded", "rotated")
    await broker.publish_event(outcome_event(report, "r1", "nosuch", timing, None, id_source="r1"))
    await broker.close()
    status, said, complaints = await run(*command.split(), "--config", path)
    assert (status, "rotation-worker:" in complaints) == (0, False)
    assert "nosuch" in said or "1 put back" in said


@pytest.mark.parametrize(("known", "told"), [(10, "shop9\n"), (12, "shop9 and 2 more\n")])
async def test_of_many_names_it_is_told_how_many_more_there_are(tmp_path: Path, known: int, told: str) -> None:
    names = [f"shop{number:x}" for number in range(known)]
    status, _, complaints = await run("sweep", "nosuch", "--config", at(tmp_path, *names))
    assert status == 78
    assert complaints.splitlines(keepends=True)[0].endswith(told)
