"""What about a certificate wants attention first: each is in exactly one group."""

from typing import Final, Literal, assert_never, get_args

from worker.fleet.standing import CertificateStanding, Level

Group = Literal["dead", "failed", "expiring", "rotating", "parked", "unknown", "well"]
GROUPS: Final[tuple[Group, ...]] = get_args(Group)
"""Worst first."""


def group_of(standing: CertificateStanding, level: Level) -> Group:
    """What failed stays so until it is rotated; what nearly expires is worse than waiting, and better when it runs."""
    match standing.state:
        case "dead" | "failed" | "rotating" as state:
            return state
        case "parked":
            return "expiring" if level in ("urgent", "expired") else "parked"
        case "unknown" | "served" as state:
            is_near = level in ("soon", "urgent", "expired")
            return "expiring" if is_near else "well" if state == "served" else "unknown"
        case _:
            assert_never(standing.state)
