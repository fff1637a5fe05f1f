"""The policies that are printed to be pasted are those that the worker's calls need."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from worker.core.deployment import Binding, Deployment
from worker.gateways.huawei_apig.rights import calls

PAGE = (Path(__file__).parents[2] / "docs" / "least-privilege.md").read_text("utf-8")
POLICIES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
# What the vendor's pages list as dependencies of these calls.
DEPENDENCIES = {"apig:instance:get", "apig:apiGroup:get"}
SINGLE = (Binding("domain", "d1", "i1", None, "g1", "d1"),)


@pytest.mark.parametrize(
    ("policy", "deployment"),
    [
        (POLICIES[0], Deployment("apig", "in_place", "c1", None, None)),
        (POLICIES[1], Deployment("apig", "blue_green", None, "shop", None)),
        (POLICIES[2], Deployment("apig", "per_domain", None, "shop_single", SINGLE)),
    ],
)
def test_a_policy_allows_what_is_called_and_what_that_depends_on(policy: Any, deployment: Deployment) -> None:
    needed = {probe.action for probe, _ in calls("p1", [deployment], "nobody")}
    (statement,) = policy["Statement"]
    assert (policy["Version"], statement["Effect"]) == ("5.0", "Allow")
    assert set(statement["Action"]) == needed | DEPENDENCIES


def test_every_action_has_its_row() -> None:
    named = Deployment("apig", "in_place", None, "shop", None)
    single = Deployment("apig", "per_domain", None, "shop_single", SINGLE)
    moving = Deployment("apig", "blue_green", None, "shop", None)
    rows = set(re.findall(r"^\| .+? \| `(apig:\w+:\w+)` \|", PAGE, re.MULTILINE))
    assert rows == {probe.action for probe, _ in calls("p1", [named, moving, single], "nobody")} | DEPENDENCIES
