"""`python -m tests.limbo FILE`: how far our rules agree with x509-limbo, and where they do not."""

import sys
from collections import Counter
from pathlib import Path

from tests.limbo.agreement import Agreement, Judged, agreement, read
from tests.limbo.known import why


def by_category(found: Agreement) -> list[str]:
    of, agreed = (
        Counter(one.category for one in found.judged),
        Counter(one.category for one in found.judged if one.agrees),
    )
    return [f"{name:14} {agreed[name]:4} of {count:4}" for name, count in sorted(of.items())]


def disagreement(one: Judged) -> str:
    if one.is_false_accept:
        return f"taken    {one.id}: {why(one.id) or 'NOBODY SAID WHY'}"
    return f"refused  {one.id}: {one.reason}"


def main(path: Path) -> int:
    """The exit status: 1 where something is taken that nobody said why."""
    found = agreement(read(path))
    left_out = ", ".join(f"{count} {what}" for what, count in sorted(found.skipped.items()))
    lines = [
        *by_category(found),
        f"{'together':14} {found.agreed:4} of {len(found.judged):4}; left out: {left_out}",
        "",
        *sorted(disagreement(one) for one in found.judged if not one.agrees),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if any(why(one) is None for one in found.false_accepts) else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
