"""What goes back, as a plan of its own: so its calls are counted as those of the way forth are."""

from collections.abc import Sequence

from worker.core.deployment import Binding
from worker.core.outcome import DeploymentReport
from worker.core.planning import Keep, Modify, Plan, Stored, UploadEach
from worker.core.progress import Progress
from worker.core.proof import Served
from worker.core.reporting import ROLLED_BACK


def of_bindings(done: Progress) -> Plan:
    """What has moved goes to where it was, for most of it the same; what it had moved to is deleted.

    In a first wave nothing goes: what somebody else has moved meanwhile is looked for before.
    """
    moved, bad = done.moved, done.stored
    places = (done.todo.back_to[one].stored for one in moved)
    to = next((one for one in places if one is not None), bad)
    retire = () if bad is None else (bad,)
    replacement = UploadEach() if to is None else Keep(to)
    return Plan(replacement, moved, (), retire, waves=(0, len(moved)), seen=done.todo.seen)


def of_material(done: Progress, bad: Stored, *, is_written: bool) -> Plan:
    """The last good one takes the place of `bad`, or has it already (`is_written`), and is attached again.

    In a first wave nothing is, as in `of_bindings`.
    """
    replacement, bindings = Keep(bad) if is_written else Modify(bad), (*own_in(done), *newcomers_in(done))
    return Plan(replacement, bindings, (), waves=(0, len(bindings)), seen=done.todo.seen)


def own_in(done: Progress) -> Sequence[Binding]:
    """What was bound to the deployment's own certificate before, too."""
    return [one for one in done.good if one not in done.todo.back_to]


def newcomers_in(done: Progress) -> Sequence[Binding]:
    """What this renewal has bound there first, and is not back yet."""
    returned = frozenset(done.todo.returned)
    return [one for one in done.moved if one not in returned]


def back_in(report: DeploymentReport) -> Sequence[Binding]:
    """What has gone back, as it is told."""
    return [one.binding for one in report.bindings if one.state == ROLLED_BACK]


def as_before(todo: Plan, report: DeploymentReport) -> Served:
    """What shall be served again, as far as anything is known of it."""
    places = [todo.back_to[one] for one in back_in(report) if one in todo.back_to]
    known = [(one.as_it_was, one.stored) for one in places if one.stored is not None]
    told = [(one, was) for one, was in known if was.serial_number is not None or was.not_after is not None]
    serials = frozenset(str(was.serial_number) for _, was in told if was.serial_number is not None)
    ends = frozenset(was.not_after for _, was in told if was.serial_number is None and was.not_after is not None)
    return Served("", None, [one for one, _ in told], expiries=ends, serials=serials)
