"""How the gateways stand: their budgets, holds and breakers."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from worker.fleet.values import Budget, GatewayStanding
from worker.rotation import Rotator


def gateway_standings(rotator: Rotator, kinds: Mapping[str, str], now: datetime) -> Sequence[GatewayStanding]:
    """By name."""
    return [_standing(rotator, name, kinds[name], now) for name in sorted(rotator.gateways)]


def _standing(rotator: Rotator, name: str, kind: str, now: datetime) -> GatewayStanding:
    account = rotator.gateways[name].account
    outage, usage = account.outage, account.usage()
    return GatewayStanding(
        name,
        kind,
        is_up=outage is None,
        down_since=None if outage is None else now - timedelta(seconds=outage.lasts),
        probe_in=None if outage is None else outage.probe_in,
        held_for=account.held_for,
        budgets=[Budget(one.seconds, one.calls, one.used, one.source) for one in usage.windows],
        under_way=usage.under_way,
        concurrency=usage.allowed,
        most_concurrency=usage.most,
        waiting=usage.waiting,
        seconds_left=rotator.forecast.seconds_left(name),
    )
