"""The rights that deployments need at a cloud: each that is missing is named, and trying them changes nothing."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.apig_shop import NAMES, OLD
from tests.support.gateways import apig, bycloud
from worker.core.deployment import Binding, Deployment
from worker.gateways.base import Gateway, Right
from worker.gateways.bycloud import rights as of_bycloud
from worker.gateways.huawei_apig import rights as of_apig
from worker.sandbox import Sandbox, SandboxConfig
from worker.sandbox.world import Fault, World

NOT_ALLOWED = {"error_code": "APIG.1005", "error_msg": "No permissions to request this method"}
INSTANCE, GROUP = "11111111-2222-4333-8444-555555555555", "66666666777748888999aaaaaaaaaaaa"
CERTIFICATES = "/v2/{project}/apigw/certificates"
IN_GROUP = f"/v2/{{project}}/apigw/instances/{INSTANCE}/api-groups/{{group}}"


def deployment(strategy: Any, **fields: Any) -> Deployment:
    bare: dict[str, Any] = {"certificate_id": None, "name": None, "bindings": None}
    return Deployment("cloud", strategy, **{**bare, **fields})


IN_PLACE = deployment("in_place", certificate_id="a27be832f2e9441c8127fe48e3b5ac67")
BY_NAME = deployment("in_place", name="shop")
SINGLE = deployment("per_domain", name="shop_single", bindings=(Binding("domain", "d", INSTANCE, None, GROUP, "d1"),))
LISTENERS = (Binding("listener", "00000000-0000-4000-8000-000000000000"),)
UPLOAD = "550e8400-e29b-41d4-a716-446655440000"
REBIND = deployment("rebind", certificate_id=UPLOAD, bindings=LISTENERS)
REPLACE = deployment("replace", certificate_id=UPLOAD, bindings=LISTENERS)
PUT = deployment("in_place", certificate_id=UPLOAD, bindings=LISTENERS)

READ_ONE = [f"show certificates (GET {CERTIFICATES}/{{id}})"]
BOUND = [f"list bound domains (GET {CERTIFICATES}/{{id}}/attached-domains)"]
LIST = [f"list certificates (GET {CERTIFICATES})"]
CREATE = [f"create certificates (POST {CERTIFICATES})"]
CHANGE = [
    f"modify certificates (PUT {CERTIFICATES}/{{id}})",
    f"attach certificates (POST {CERTIFICATES}/{{id}}/domains/attach)",
]
ALONE = [
    f"show API groups (GET {IN_GROUP})",
    *(*LIST, *READ_ONE, *BOUND),
    f"add certificates to a domain (POST {IN_GROUP}/domains/{{domain}}/certificate)",
    *CREATE,
    f"attach certificates to a domain (POST {IN_GROUP}/domains/{{domain}}/certificates/attach)",
    f"delete certificates (DELETE {CERTIFICATES}/{{id}})",
]
UPLOADS = "/v1/certificates"
BIND = [f"bind certificates (POST {UPLOADS}/{{id}}/bindings)"]
SHOW_UPLOAD = [f"show certificates (GET {UPLOADS}/{{id}})"]


@pytest.mark.parametrize(
    ("one", "wanted"),
    [
        (IN_PLACE, READ_ONE + BOUND + CHANGE),
        (BY_NAME, READ_ONE + BOUND + LIST + CREATE + CHANGE),
        (
            deployment("in_place", certificate_id="a27b", bindings=(Binding("domain", NAMES[0]),)),
            READ_ONE + BOUND + LIST + CHANGE,
        ),
        (
            deployment("in_place", certificate_id="a27b", bindings=(Binding("domain", NAMES[0], INSTANCE, False),)),
            READ_ONE + BOUND + CHANGE,
        ),
        (SINGLE, ALONE),
    ],
)
def test_apig_is_asked_for_what_the_strategy_needs_and_for_no_more(one: Deployment, wanted: list[str]) -> None:
    assert [probe.what for probe, _ in of_apig.calls("p1", [one, one], "nobody")] == wanted


def test_each_instance_has_a_line_of_its_own() -> None:
    elsewhere = Binding("domain", "e", "other", None, "g2", "e1")
    both = [SINGLE, deployment("per_domain", name="more", bindings=(elsewhere,))]
    lines = [probe.what for probe, _ in of_apig.calls("p1", both, "nobody")]
    assert len(lines) == len(ALONE) + 3
    assert "show API groups (GET /v2/{project}/apigw/instances/other/api-groups/{group})" in lines


@pytest.mark.parametrize(
    ("one", "wanted"),
    [
        (REBIND, SHOW_UPLOAD + BIND),
        (
            REPLACE,
            [*SHOW_UPLOAD, f"list certificates (GET {UPLOADS})", f"create certificates (POST {UPLOADS})", *BIND],
        ),
        (PUT, [*SHOW_UPLOAD, f"modify certificates (PUT {UPLOADS}/{{id}})", *BIND]),
    ],
)
def test_bycloud_is_asked_for_what_the_strategy_needs_and_for_no_more(one: Deployment, wanted: list[str]) -> None:
    assert [probe.what for probe, _ in of_bycloud.calls([one, one], "nobody")] == wanted


EVERY_CALL = [
    *of_apig.calls("p1", [IN_PLACE, BY_NAME, SINGLE], "nobody"),
    *of_bycloud.calls([REBIND, REPLACE, PUT], "nobody"),
]


@pytest.mark.parametrize(("probe", "places"), EVERY_CALL, ids=lambda one: getattr(one, "what", ""))
def test_what_is_sent_names_nothing_that_is_there_and_asks_for_nothing(probe: Any, places: Any) -> None:
    request = probe.request(places)
    if request.method == "GET":
        assert request.body is None
        return
    assert request.body in (None, {}, {"domains": []}, {"certificate_ids": []}, {"type": "uploaded"})
    assert not request.repeatable
    assert request.path.endswith("/certificates") or "/nobody" in request.path
    assert not any(one in request.path for one in (str(IN_PLACE.certificate_id), UPLOAD, "d1"))


@dataclass
class Place:
    world: World
    gateway: Gateway
    deployments: tuple[Deployment, ...]

    async def rights(self) -> list[Right]:
        return list(await self.gateway.rights(self.deployments))


@asynccontextmanager
async def at_apig(folder: Path) -> AsyncIterator[Place]:
    async with Sandbox() as sandbox, apig(sandbox, folder) as gateway:
        world = sandbox.world
        instance = world.add_instance()
        group = world.add_group(instance)
        domain = world.add_domain(group, NAMES[0])
        stored = world.add_certificate(OLD, "shop")
        world.bind(stored, domain)
        single = deployment(
            "per_domain", name="single", bindings=(Binding("domain", domain, instance, None, group, domain),)
        )
        yield Place(world, gateway, (deployment("in_place", certificate_id=stored, name="shop"), single))


@asynccontextmanager
async def at_bycloud(folder: Path, *, has_put: bool = True) -> AsyncIterator[Place]:
    async with Sandbox(SandboxConfig(has_put=has_put)) as sandbox, bycloud(sandbox, folder) as gateway:
        world = sandbox.world
        stored, listener = world.add_upload(OLD, "shop"), world.add_listener()
        world.bind_listener(stored, listener)
        bindings = (Binding("listener", listener),)
        ways = ("replace", "in_place")
        yield Place(world, gateway, tuple(deployment(one, certificate_id=stored, bindings=bindings) for one in ways))


At = Callable[[Path], AbstractAsyncContextManager[Place]]


def picture(world: World) -> str:
    """All that a cloud holds and serves."""
    return repr((world.certificates, world.uploads, world.domains, world.listeners, world.served, world.changes))


@pytest.mark.parametrize("at", [at_apig, at_bycloud])
async def test_who_may_do_all_has_every_right_and_nothing_is_changed_by_looking(at: At, tmp_path: Path) -> None:
    async with at(tmp_path) as place:
        before = picture(place.world)
        rights = await place.rights()
        # ByCloud's reference has no PUT: a 404 may mean the call as well as the certificate.
        assert {(one.state, one.message) for one in rights if "(PUT /v1" not in one.what} == {("there", "")}
        assert picture(place.world) == before
        assert len([call for call in place.world.journal if call.operation != "obtain_token"]) == len(rights)


AT_APIG = {
    "show_certificate": ("show certificates", "apig:certificate:get"),
    "list_certificates": ("list certificates", "apig:certificate:list"),
    "list_domains": ("list bound domains", "apig:certificate:listBoundDomain"),
    "create_certificate": ("create certificates", "apig:certificate:create"),
    "modify_certificate": ("modify certificates", "apig:certificate:update"),
    "delete_certificate": ("delete certificates", "apig:certificate:delete"),
    "attach_domains": ("attach certificates", "apig:certificate:batchBindDomain"),
    "show_group": ("show API groups", "apig:apiGroup:get"),
    "add_certificate": ("add certificates to a domain", "apig:apiGroup:createAndBindCertificateToDomain"),
    "attach_to_domain": ("attach certificates to a domain", "apig:apiGroup:batchBindCertificateToDomain"),
}
AT_BYCLOUD = {
    "show_upload": "show certificates",
    "list_uploads": "list certificates",
    "create_upload": "create certificates",
    "modify_upload": "modify certificates",
    "create_binding": "bind certificates",
}


@pytest.mark.parametrize("status", [401, 403])
async def test_each_right_that_is_missing_at_apig_is_named_with_its_action(status: int, tmp_path: Path) -> None:
    async with at_apig(tmp_path) as place:
        for operation, (right, action) in AT_APIG.items():
            place.world.faults[:] = [Fault(operation, status=status, body=NOT_ALLOWED, times=9)]
            (missing,) = (one for one in await place.rights() if one.state != "there")
            assert missing.what.startswith(f"{right} (")
            assert missing.state == "missing"
            assert missing.message == (
                f"it is not allowed; allow {action} (the gateway says: No permissions to request this method)"
            )


async def test_each_right_that_is_missing_at_bycloud_is_named(tmp_path: Path) -> None:
    async with at_bycloud(tmp_path) as place:
        for operation, right in AT_BYCLOUD.items():
            body = {"error": {"code": 403, "message": "Insufficient permissions"}}
            place.world.faults[:] = [Fault(operation, status=403, body=body, times=9)]
            (missing,) = (one for one in await place.rights() if one.state == "missing")
            assert missing.what.startswith(f"{right} (")
            assert missing.message == "it is not allowed (the gateway says: Insufficient permissions)"


async def test_a_call_that_the_cloud_does_not_have_is_told(tmp_path: Path) -> None:
    async with at_bycloud(tmp_path, has_put=False) as place:
        (missing,) = (one for one in await place.rights() if one.state == "missing")
    assert missing.message.startswith("the gateway has no such call")


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (Fault("modify_certificate", status=500), "unknown"),
        (Fault("modify_certificate", kind="reset"), "unknown"),
        (Fault("modify_certificate", status=302), "unknown"),
        (Fault("modify_certificate", status=418), "unknown"),
        (Fault("modify_certificate", status=404, body={"error_code": "APIGW.0101", "error_msg": "no API"}), "unknown"),
        (Fault("modify_certificate", status=200), "unknown"),
        (Fault("modify_certificate", status=400), "there"),
        (Fault("modify_certificate", status=409), "there"),
        (Fault("modify_certificate", status=422), "there"),
        (Fault("modify_certificate", status=403, body={"error_code": "APIG.3100"}), "there"),
        (Fault("modify_certificate", status=403), "missing"),
    ],
    ids=lambda one: f"{one.kind}-{one.status}" if isinstance(one, Fault) else one,
)
async def test_an_answer_tells_as_much_as_it_says(fault: Fault, state: str, tmp_path: Path) -> None:
    fault.times = 9
    async with at_apig(tmp_path) as place:
        place.world.faults.append(fault)
        (found,) = (one for one in await place.rights() if one.what.startswith("modify certificates"))
        assert found.state == state
        assert bool(found.message) == (state != "there")
        assert len(place.world.calls("modify_certificate")) == 1, "it is not asked twice"
