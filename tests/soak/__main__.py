"""`python -m tests.soak`: the books of a soak, as a table and as JSON; exit status 1 where a promise was broken."""

import argparse
import asyncio
import json
import logging
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tests.soak.accounts import Broken, Evidence, attempted, broken, cloud_of, fullest, outcomes, slopes
from tests.soak.run import Plan, Scene, soak
from tests.soak.schedule import counted
from tests.soak.stories import story

BUILD: Final = Path("build")
_TOLD: Final = 3
_LINES: Final = 40


def main() -> int:
    plan = planned()
    shutil.rmtree(plan.folder, ignore_errors=True)
    plan.folder.mkdir(parents=True)
    logging.disable(logging.CRITICAL)  # aio-pika tells at length of a broker that is away
    print(f"soak: {plan.minutes:g} minutes, SEED={plan.seed}, {plan.folder}", file=sys.stderr, flush=True)
    evidence, scene = asyncio.run(soak(plan))
    found = broken(evidence)
    books = {**summary(evidence, scene), "broken": [asdict(one) for one in found]}
    write(plan.folder / "soak.json", books)
    write(BUILD / "soak.json", books)
    tell(books)
    if found:
        tell_broken(plan, evidence, scene, found)
        return 1
    shutil.rmtree(plan.folder)
    return 0


def planned() -> Plan:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--rate", type=float, default=1, help="renewals a second")
    parser.add_argument("--nodes", type=int, default=1, help="RabbitMQ nodes, one cluster")
    parser.add_argument("--healthy", action="store_true", help="without any fault")
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(1_000_000)
    folder = (BUILD / "soak" / str(seed)).absolute()
    return Plan(folder, seed, args.minutes, rate=args.rate, nodes=args.nodes, healthy=args.healthy)


def summary(evidence: Evidence, scene: Scene) -> Mapping[str, Any]:
    """The books in numbers."""
    orders, ends = attempted(evidence), outcomes(evidence)
    told = Counter(str(event["id"]) for event in evidence.events)
    return {
        "seed": scene.plan.seed,
        "minutes": scene.plan.minutes,
        "renewals": {
            "made": len(evidence.orders),
            "not taken by the broker, and told so": len(evidence.orders) - len(orders),
            "attempted": len(orders),
            **dict(ends),
            "of these dead, with a reason": len(evidence.dead),
            "left in a queue": evidence.waiting,
        },
        "messages": {
            "publishing tried": scene.producer.tries,
            "confirmed": sum(order.accepted for order in orders),
            "in doubt": sum(order.in_doubt for order in orders),
        },
        "events": {"told": len(told), "told again, same id": told.total() - len(told)},
        "failed, by reason": dict(
            Counter(event["data"]["reason"] for event in evidence.events if event["data"]["outcome"] == "failed")
        ),
        "calls": dict(Counter(cloud_of(call) for call in evidence.calls)),
        "most calls in a window, at the cloud": fullest(evidence),
        "faults": counted([done.step for done in scene.breaker.done]),
        "worker processes": len(scene.workers.lives),
        "of these refused by the broker at their start": scene.workers.refused,
        "megabytes a minute": {name: round(slope, 2) for name, slope in slopes(evidence.memory).items()},
        "quiet after seconds": round(scene.quiet_after, 1),
    }


def write(path: Path, books: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(books, indent=1, default=str) + "\n", encoding="utf-8")


def tell(books: Mapping[str, Any]) -> None:
    for name, told in books.items():
        if name == "broken":
            continue
        if isinstance(told, Mapping):
            print(name)
            for inner, value in told.items():
                print(f"  {inner:45} {value:>10}")
        else:
            print(f"{name:47} {told:>10}")


def tell_broken(plan: Plan, evidence: Evidence, scene: Scene, found: Sequence[Broken]) -> None:
    """Each in words; the first ones with their story."""
    print(f"\n{len(found)} broken promises. Everything is kept in {plan.folder}")
    for number, one in enumerate(found, 1):
        print(f"{number}. promise {one.promise}: {one.words} ({one.certificate}, {one.renewal_id})")
        lines = story(one, evidence, scene)
        path = plan.folder / f"story-{number:03}.txt"
        path.write_text("\n".join([one.words, *lines]) + "\n", encoding="utf-8")
        if number <= _TOLD:
            print("\n".join(f"   {line}" for line in lines[-_LINES:]))
            print(f"   all {len(lines)} lines: {path}")
    print(f"\nagain: make soak MINUTES={plan.minutes:g} SEED={plan.seed}")


if __name__ == "__main__":
    began = time.monotonic()
    status = main()
    print(f"{time.monotonic() - began:.0f} seconds", file=sys.stderr)
    sys.exit(status)
