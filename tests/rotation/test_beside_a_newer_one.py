"""An older renewal that comes again where a cloud shows what was attached with both: the newer certificate stays."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.rotation.test_blue_green import BEGAN, NEW, stage
from tests.support.gateways import AUTHORITY, checked
from worker.sandbox.world import Fault

MIDDLE = checked(AUTHORITY.issue(["*.example.com"], not_before=BEGAN + timedelta(days=30)))


@pytest.mark.parametrize("is_listed", [True, False])
@pytest.mark.parametrize("seconds", [0, 3600])
async def test_what_comes_again_takes_nothing_from_the_newer_one_that_is_shown_beside_it(
    tmp_path: Path, *, seconds: int, is_listed: bool
) -> None:
    async with stage(tmp_path) as one:
        one.world.attach_adds = True
        how = {"retire_after_seconds": seconds} if is_listed else {"retire_after_seconds": seconds, "bindings": None}
        await one.report(MIDDLE, **how)
        for stored in one.world.certificates.values():
            stored.created_at -= timedelta(seconds=2)
            stored.updated_at -= timedelta(seconds=2)
        one.world.faults += [] if seconds else [Fault("detach_domains", status=403)]
        await one.report(NEW, **how)
        newer = {domain.certificate_id for domain in one.world.domains.values()}
        report = await one.report(MIDDLE, **how)
        assert (report.outcome, report.reason) == ("superseded", "downgrade")
        assert {domain.certificate_id for domain in one.world.domains.values()} == newer
        assert one.bound()[one.green] == 40
