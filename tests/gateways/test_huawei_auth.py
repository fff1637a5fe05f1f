"""Tokens from IAM, tokens from files, and signatures that the vendor's own signer makes too."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from worker.core.errors import PermanentError, TransientError
from worker.core.secret import Secret
from worker.gateways.huawei_apig.auth import PasswordToken, Signature, StaticToken, sign
from worker.gateways.transport import AmbiguousError
from worker.sandbox import Sandbox, SandboxConfig
from worker.sandbox.world import Fault
from worker.settings.base import TokenAuth
from worker.settings.gateways import AkSkAuth, PasswordAuth


@dataclass
class Clock:
    """Goes when it is told to."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def now(self) -> datetime:
        return self.at

    def pass_by(self, **length: float) -> None:
        self.at += timedelta(**length)


@dataclass
class Account:
    sandbox: Sandbox
    clock: Clock
    token: PasswordToken

    async def text(self) -> str:
        return (await self.token.headers("GET", "/", {}, b""))["X-Auth-Token"]

    @property
    def asked(self) -> int:
        return len(self.sandbox.world.calls("obtain_token"))


@asynccontextmanager
async def account(
    folder: Path, *faults: Fault, clock: Clock | None = None, password: str | None = None, **overrides: Any
) -> AsyncIterator[Account]:
    path = folder / "password"
    async with Sandbox(SandboxConfig(**overrides)) as sandbox:
        path.touch(mode=0o600)
        path.write_text((password or sandbox.config.password) + "\n")
        sandbox.world.faults += faults
        own, at = sandbox.config, clock or Clock()
        settings = PasswordAuth(
            kind="password",
            iam_endpoint=sandbox.iam_endpoint,
            account=own.account,
            user=own.user,
            password_file=path,
            project=own.project,
        )
        yield Account(sandbox, at, PasswordToken(settings, None, 20, at.now))


async def test_one_token_serves_however_many_ask_at_once(tmp_path: Path) -> None:
    async with account(tmp_path, latency=0.01) as one:
        texts = await asyncio.gather(*(one.text() for _ in range(20)))
        assert (len(set(texts)), one.asked) == (1, 1)
        assert one.sandbox.iam.is_good(texts[0])
        assert texts[0] not in repr(one.token)


@pytest.mark.parametrize(("lifetime", "minutes"), [(86400, 24 * 60 - 5), (600, 9)])
async def test_a_token_is_renewed_some_time_before_its_end(tmp_path: Path, lifetime: float, minutes: float) -> None:
    async with account(tmp_path, token_lifetime=lifetime) as one:
        first = await one.text()
        one.clock.pass_by(minutes=minutes, seconds=-10)
        assert await one.text() == first
        one.clock.pass_by(seconds=20)
        assert await one.text() != first
        assert one.asked == 2


@pytest.mark.parametrize("days", [-1, 1])
async def test_a_wrong_clock_makes_no_storm_of_renewals(tmp_path: Path, days: float) -> None:
    wrong = Clock(datetime.now(UTC) + timedelta(days=days, hours=1))
    async with account(tmp_path, clock=wrong) as one:
        assert len({await one.text() for _ in range(5)}) == 1
        assert one.asked == 1


async def test_a_renewal_brings_another_token(tmp_path: Path) -> None:
    async with account(tmp_path) as one:
        first = await one.text()
        await one.token.renew()
        assert await one.text() != first
        assert one.asked == 2


async def test_a_wrong_password_is_tried_once_by_all_who_wait(tmp_path: Path) -> None:
    async with account(tmp_path, password="not-the-password", latency=0.01) as one:
        failures = await asyncio.gather(*(one.text() for _ in range(20)), return_exceptions=True)
        assert {type(failure) for failure in failures} == {PermanentError}
        assert one.asked == 1
        assert "not-the-password" not in "".join(map(repr, failures))
        assert [str(failure) for failure in failures[:1]] == ["IAM gives no token: The username or password is wrong"]


async def test_a_password_that_is_put_right_works_without_a_restart(tmp_path: Path) -> None:
    async with account(tmp_path, password="not-the-password") as one:
        with pytest.raises(PermanentError):
            await one.text()
        (tmp_path / "password").write_text("sandbox-password")
        assert await one.text()


async def refused(one: Account) -> int:
    """How often IAM was asked in all, once it has refused again."""
    with pytest.raises(PermanentError) as caught:
        await one.text()
    assert (caught.value.reason, caught.value.code) == ("auth_failed", "IAM.0011")
    return one.asked


async def test_a_refused_password_is_tried_again_only_after_a_while(tmp_path: Path) -> None:
    async with account(tmp_path, password="not-the-password") as one:
        assert [await refused(one) for _ in range(3)] == [1, 1, 1]
        (tmp_path / "password").write_text("not-the-password")
        one.clock.pass_by(minutes=9, seconds=59)
        assert await refused(one) == 1, "the file was written anew, but the password is the same"
        with pytest.raises(PermanentError):
            await one.token.renew()
        assert one.asked == 1
        one.clock.pass_by(seconds=1)
        assert [await refused(one) for _ in range(2)] == [2, 2]
        one.clock.pass_by(days=-1)
        assert await refused(one) == 3, "a clock that is put back makes no refusal stand for longer"
        assert "not-the-password" not in repr(one.token)


async def test_a_short_password_is_starred_in_what_iam_says_of_it(tmp_path: Path) -> None:
    body = {"error_code": "IAM.0011", "error_msg": "gives no entry to pw7 or pw7-like"}
    async with account(tmp_path, Fault("obtain_token", status=401, body=body), password="pw7") as one:
        with pytest.raises(PermanentError) as caught:
            await one.text()
    assert str(caught.value) == "IAM gives no token: gives no entry to *** or ***-like"


async def test_while_the_password_is_being_replaced_an_old_token_serves_and_iam_is_left_alone(tmp_path: Path) -> None:
    async with account(tmp_path) as one:
        first = await one.text()
        one.clock.pass_by(hours=23, minutes=57)
        (tmp_path / "password").rename(tmp_path / "moved")
        assert await one.text() == first
        one.clock.pass_by(minutes=4)
        with pytest.raises(TransientError, match=r"^auth\.password_file: ") as caught:
            await one.text()
        assert (caught.value.reason, one.asked) == ("auth_failed", 1)


async def test_another_password_is_tried_at_once(tmp_path: Path) -> None:
    async with account(tmp_path, password="not-the-password") as one:
        await refused(one)
        (tmp_path / "password").write_text("not-this-password")
        assert [await refused(one) for _ in range(2)] == [2, 2]
        (tmp_path / "password").write_text("sandbox-password")
        assert await one.text()


async def test_an_iam_that_was_only_away_is_asked_again_at_once(tmp_path: Path) -> None:
    async with account(tmp_path, Fault("obtain_token", status=503)) as one:
        with pytest.raises(TransientError):
            await one.text()
        assert await one.text()


async def test_while_iam_is_away_an_old_token_serves_as_long_as_it_lives(tmp_path: Path) -> None:
    async with account(tmp_path) as one:
        first = await one.text()
        one.sandbox.world.faults.append(Fault("obtain_token", status=503, times=100))
        one.clock.pass_by(hours=23, minutes=57)
        assert [await one.text() for _ in range(5)] == [first] * 5
        assert one.asked == 2, "IAM is not asked at every call"
        one.clock.pass_by(minutes=4)
        with pytest.raises(TransientError):
            await one.text()


@pytest.mark.parametrize(
    ("fault", "reason", "hold"),
    [
        (
            Fault("obtain_token", status=429, headers={"Retry-After": "9"}, body={"error_code": "IAM.0012"}),
            "throttled",
            9,
        ),
        (Fault("obtain_token", status=502), "gateway_unavailable", 0),
        (Fault("obtain_token", status=200), "gateway_unavailable", 0),
        (Fault("obtain_token", status=201), "gateway_unavailable", 0),
        (Fault("obtain_token", kind="reset"), "gateway_unavailable", 0),
        (Fault("obtain_token", kind="truncate"), "gateway_unavailable", 0),
    ],
    ids=lambda value: f"{value.kind}-{value.status}" if isinstance(value, Fault) else None,
)
async def test_iam_that_is_away_leaves_no_doubt_about_the_call(
    tmp_path: Path, fault: Fault, reason: str, hold: float
) -> None:
    async with account(tmp_path, fault) as one:
        with pytest.raises(TransientError) as caught:
            await one.text()
    assert (caught.value.reason, caught.value.hold) == (reason, hold)
    assert not isinstance(caught.value, AmbiguousError), "what needs the token was not sent"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault("obtain_token", status=302, headers={"Location": "https://elsewhere.example"}), "unexpected_redirect"),
        (Fault("obtain_token", status=403), "auth_failed"),
    ],
)
async def test_iam_that_gives_no_token_is_told(tmp_path: Path, fault: Fault, reason: str) -> None:
    async with account(tmp_path, fault) as one:
        with pytest.raises(PermanentError) as caught:
            await one.text()
    assert caught.value.reason == reason


async def test_a_cancelled_asker_leaves_the_question_to_the_next(tmp_path: Path) -> None:
    async with account(tmp_path, latency=0.05) as one:
        first, second = asyncio.create_task(one.text()), asyncio.create_task(one.text())
        await asyncio.sleep(0)
        first.cancel()
        assert one.sandbox.iam.is_good(await second)
        assert first.cancelled()


async def test_a_token_file_that_has_changed_counts_for_the_next_call(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.touch(mode=0o600)
    bearer = StaticToken.of(TokenAuth(kind="token", token_file=path))
    for text in ("first-token", "second-token"):
        path.write_text(text + "\n")
        assert await bearer.headers("GET", "/", {}, b"") == {"X-Auth-Token": text}
    assert bearer.is_stale(401, "APIGW.0307")


@pytest.mark.parametrize("content", [None, b"", b"a\nb", b"\xff"])
async def test_a_token_file_without_a_token_is_told_by_its_setting(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.touch(mode=0o600)
        path.write_bytes(content)
    with pytest.raises(TransientError) as caught:
        await StaticToken.of(TokenAuth(kind="token", token_file=path)).headers("GET", "/", {}, b"")
    assert caught.value.reason == "auth_failed"
    assert str(caught.value).startswith("auth.token_file: ")


SIGNED: Mapping[str, str] = {
    "host": "apig.eu-west-101.myhuaweicloud.eu",
    "x-project-id": "0f1e2d3c",
    "x-sdk-date": "20261120T100000Z",
}
REQUESTS: list[tuple[str, str, dict[str, str], bytes]] = [
    ("GET", "/v2/0f1e2d3c/apigw/certificates", {}, b""),
    ("GET", "/v2/0f1e2d3c/apigw/certificates", {"offset": "0", "limit": "500", "name": "é ~/+_-."}, b""),
    ("PUT", "/v2/0f1e2d3c/apigw/certificates/a27b", {}, b'{"name":"cert_demo"}'),
    ("POST", "/base/v2/a~b.c/d_e-f/", {"b": "2", "a": "1", "a~": ""}, b'{"\xc3\xa9":1}'),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("method", "path", "query", "body"), REQUESTS)
def test_the_signature_is_the_one_of_the_official_sdk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, path: str, query: dict[str, str], body: bytes
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    from huaweicloudsdkcore.auth.credentials import BasicCredentials  # noqa: PLC0415 - may write below HOME
    from huaweicloudsdkcore.sdk_request import SdkRequest  # noqa: PLC0415
    from huaweicloudsdkcore.signer.signer import Signer  # noqa: PLC0415

    names = {"host": "Host", "x-project-id": "X-Project-Id", "x-sdk-date": "X-Sdk-Date"}
    request = SdkRequest(
        method=method,
        host=SIGNED["host"],
        resource_path=path,
        query_params=list(query.items()),
        header_params={names[name]: value for name, value in SIGNED.items()},
        body=body,
    )
    signed = Signer(BasicCredentials("ACCESSKEY", "secret-key", "0f1e2d3c")).sign(request)
    ours = sign("ACCESSKEY", Secret("secret-key"), method, path, query, SIGNED, body)
    assert ours == signed.header_params["Authorization"]


async def test_every_call_is_signed_anew_with_the_key_of_the_file(tmp_path: Path) -> None:
    path, clock = tmp_path / "secret_key", Clock(datetime(2026, 11, 20, 10, tzinfo=UTC))
    settings = AkSkAuth(kind="ak_sk", access_key="ACCESSKEY", secret_key_file=path)
    path.touch(mode=0o600)
    signature = Signature.of(settings, "https://apig.example.com:8443/base", "0f1e", clock.now)
    path.write_text("first-key")
    first = await signature.headers("GET", "/v2", {}, b"")
    clock.pass_by(seconds=1)
    path.write_text("second-key")
    second = await signature.headers("GET", "/v2", {}, b"")
    assert (first["Host"], first["X-Project-Id"]) == ("apig.example.com:8443", "0f1e")
    assert [one["X-Sdk-Date"] for one in (first, second)] == ["20261120T100000Z", "20261120T100001Z"]
    assert first["Authorization"] != second["Authorization"]
    assert not signature.is_stale(401, "APIGW.0301")


async def test_a_token_that_is_got_or_refused_is_a_call_of_the_metrics(tmp_path: Path) -> None:
    heard: list[tuple[str, int | str, float | None]] = []
    async with account(tmp_path, Fault("obtain_token", status=503)) as one:
        one.token.on_call = lambda *call: heard.append(call)
        with pytest.raises(TransientError):
            await one.text()
        await one.text()
    with pytest.raises(TransientError):
        await one.token.renew()
    assert heard == [("obtain_token", told, None) for told in (503, 201, "gateway_unavailable")]
