"""What is told of a gateway's refusals."""

from collections.abc import Sequence

import structlog
from structlog.testing import capture_logs

from tests.gateways.test_transport_repeats import GET, GOOD, FarEnd, refusal, told, transport
from worker.limits import Limits, Window


def logged(far: FarEnd, limits: Limits, calls: int) -> Sequence[structlog.typing.EventDict]:
    with capture_logs() as logs:
        told(transport(far, limits=limits), *[GET] * calls)
    return [line for line in logs if line["event"] == "limit.learned"]


def test_a_learned_limit_is_told_as_it_is_kept_to_and_once() -> None:
    higher = refusal(429, text="limit:200,time:1 minute")
    assert not logged(FarEnd([higher, GOOD, higher, GOOD]), Limits([Window(100, 1), Window(150, 60)], 1), 3)
    lower = refusal(429, text="limit:20,time:1 minute")
    [line] = logged(FarEnd([lower, GOOD, lower, GOOD, lower, GOOD]), Limits([Window(100, 1)], 1), 4)
    assert (line["calls"], line["seconds"]) == (20, 60)


def test_where_more_is_told_again_what_was_set_is_kept_to_and_told() -> None:
    lower, higher = refusal(429, text="limit:20,time:1 second"), refusal(429, text="limit:900,time:1 second")
    lines = logged(FarEnd([lower, GOOD, higher, GOOD]), Limits([Window(100, 1)], 1), 2)
    assert [line["calls"] for line in lines] == [20, 100]
