"""The table of bad inputs, through a whole worker: event, dead letter, no call, and the next renewal is carried out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.bad_inputs import certificates, envelopes, keys, messages
from tests.bad_inputs.stage import Stage, staged
from tests.bad_inputs.table import Bad, Cloud

GROUPS = {"messages": messages.ROWS, "envelopes": envelopes.ROWS, "keys": keys.ROWS, "certificates": certificates.ROWS}


@dataclass(frozen=True, slots=True)
class Came:
    """What came of a row."""

    outcome: str
    reason: str
    cloud: Cloud
    calls: int
    dead: str | None
    """Why it lies dead, where it does."""


def expected(row: Bad) -> Came:
    dead = row.reason if row.outcome == "failed" else None
    return Came(row.outcome, row.reason, row.cloud, 0, dead)


async def came_of(stage: Stage, row: Bad) -> tuple[Came, str]:
    """And the text of its event."""
    journal, broker = stage.sandbox.world.journal, stage.worker.broker
    before, dead = len(journal), len(await broker.dead())
    event = await stage.worker.outcome(row.make(stage))
    await stage.is_idle()
    told: dict[str, Any] = event["data"]
    letters = (await broker.dead())[dead:]
    assert len(letters) < 2
    # No renewal of credentials and no read either.
    asked = {call.method for call in journal[before:] if call.operation != "obtain_token"}
    cloud: Cloud = "untouched" if len(journal) == before else "read" if asked <= {"GET"} else "changed"
    calls = told["gateway_calls"] if cloud == "untouched" else 0
    came = Came(told["outcome"], told["reason"], cloud, calls, letters[0].reason if letters else None)
    return came, str(told.get("message", "")) + str(told["deployments"])


def surprises(row: Bad, came: Came, text: str) -> Sequence[str]:
    found = [] if came == expected(row) else [f"{row.number} {row.what}: {came}"]
    return found if row.says in text else [*found, f"{row.number} {row.what}: says {text}"]


@pytest.mark.parametrize("group", GROUPS)
async def test_each_bad_input_ends_as_the_table_says_and_harms_no_other(group: str, tmp_path: Path) -> None:
    rows = GROUPS[group]
    found: list[str] = []
    async with staged(tmp_path) as stage:
        for row in rows:
            found += surprises(row, *await came_of(stage, row))
        assert found == []
        assert await stage.rotate(is_signed=True) == "succeeded"
        assert stage.finished() == len(rows) + 2
        everything = await stage.told()
        assert [line for line in stage.secrets if line in everything] == []
        await withheld_as_told(stage, rows)


async def withheld_as_told(stage: Stage, rows: Sequence[Bad]) -> None:
    letters = await stage.worker.broker.dead()
    failed = [row for row in rows if row.outcome == "failed"]
    assert len(letters) == len(failed)
    kept = {row.what for row, one in zip(failed, letters, strict=True) if row.is_withheld and not one.is_withheld}
    assert kept == set()
