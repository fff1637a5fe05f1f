"""From what is observed to what is to be done: plans are data, made without touching anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Literal, assert_never

from worker.core.bundle import Leaf
from worker.core.covering import check_names
from worker.core.deployment import Binding, Deployment
from worker.core.errors import RefusedError
from worker.core.outcome import Previous
from worker.core.proof import NOT_LOOKED, Reach, Shortfall
from worker.core.urgency import Urgency


@dataclass(frozen=True, slots=True)
class Stored:
    """Facts of a stored certificate, as far as its gateway tells them."""

    certificate_id: str
    name: str
    serial_number: int | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    issued_before: datetime | None = None
    """When it was written last, for gateways that do not tell not_before: it cannot have been issued later."""
    stored_at: datetime | None = None
    """When it was stored, where its gateway tells that and not_before does not."""
    fingerprint_prefix: str | None = None
    """Beginning of the leaf's SHA-256 fingerprint, where the name that we gave it tells."""
    names: frozenset[str] | None = field(default=None, compare=False)
    """In lower case, where its gateway tells them."""
    known_not_before: datetime | None = field(default=None, compare=False)
    """Where its gateway tells no not_before, and it is known for another certificate than the renewed one."""
    has_trusted_root_ca: bool | None = None
    """Whether clients are asked for certificates of a client CA that is stored with it; None where nobody tells."""
    scope: Literal["global", "instance"] | None = None
    instance_id: str | None = None
    """The gateway instance it is limited to; None for a global one."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A wanted binding as it is: what is served there, and its client-verification flag."""

    binding: Binding
    stored: Stored | None
    """None: nothing of ours is bound there."""
    client_verification: bool | None = None
    others: Sequence[str] = ()
    """Ids of further stored certificates that it is shown with; without one of ours, of those that it is bound to."""

    @property
    def as_it_was(self) -> Binding:
        """The binding with the flag that it has here."""
        return self.binding if self.client_verification is None else self.binding.with_flag(self.client_verification)


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything about a deployment, read before anything is changed.

    `stored` is the certificate that a replacement would replace: None when there is none yet, and for `per_domain`,
    where every binding has its own. `leftovers` are earlier uploads of this deployment that may be retired.

    Where bindings move to a new stored certificate (`blue_green`, `replace`), `stored` is the renewed one where it is
    stored already, else the deployment's latest; `leftovers` are all others of its own, bound or not.
    """

    stored: Stored | None
    bound: Sequence[Bound]
    leftovers: Sequence[Stored] = ()
    at: datetime | None = field(default=None, compare=False)
    """When it was read, where that matters."""
    lists: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)
    """How long the lists were that were read, where reading them again may take more than one call: by certificate id
    what is bound to it, by the name that was asked for what is stored.
    """
    foreign: Mapping[str, Stored] = field(default_factory=dict, compare=False, repr=False)
    """For `in_place`, by id: what serves listed domains on further instances than the deployment's own certificate."""
    left_alone: Sequence[Binding] = field(default=(), compare=False)
    """Of those domains, where they stay with it."""
    uploads: Sequence[Stored] = field(default=(), compare=False, repr=False)
    """For `per_domain`: those of the very leaf that are stored, bound or not. They are not uploaded once more."""


@dataclass(frozen=True, slots=True)
class Keep:
    """The stored certificate is the renewed one already."""

    stored: Stored


@dataclass(frozen=True, slots=True)
class Modify:
    """Put the renewed certificate in the place of the stored one (PUT)."""

    stored: Stored


@dataclass(frozen=True, slots=True)
class Create:
    """Store the renewed certificate as a new one."""

    name: str


@dataclass(frozen=True, slots=True)
class UploadEach:
    """Every binding gets the certificate uploaded for itself, in the call that binds it."""


Replacement = Keep | Modify | Create | UploadEach


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rotation does at one deployment, in this order: replacement, attach, retire."""

    replacement: Replacement
    attach: Sequence[Binding]
    """With the client-verification flag that each shall have afterwards."""
    unchanged: Sequence[Binding]
    retire: Sequence[Stored] = ()
    """Deleted at the end, each only once nothing is bound to it."""
    previous: Previous | None = None
    was_replaced: bool = False
    """What is kept was put there by an earlier attempt of the same renewal."""
    superseded_by: Stored | None = None
    """A newer certificate that some of the deployment's bindings have already: those are left alone."""
    waves: Sequence[int] = ()
    """How many of `attach`, in its order, are attached and verified before the next; empty: all together."""
    is_canary_asked: bool | None = None
    """Whether an endpoint is asked for anything of the first wave; None where nobody has looked, or there are none."""
    provable: int = 0
    """How many of `attach`, from its front, were put there because an endpoint can prove them."""
    back_to: Mapping[Binding, Bound] = field(default_factory=dict)
    """Bindings that move, or have moved, as they were before: so they shall be again when a wave turns out bad.
    Where nothing moves (`in_place`), those that were not bound to the deployment's own certificate.
    """
    from_old: Mapping[Binding, Bound] = field(default_factory=dict)
    """Bindings that have the renewed certificate already, as they will have been before: like the others still are.
    So they are taken to have been where nothing is noted of them.
    """
    moved: Sequence[Binding] = ()
    """Of these, what an earlier attempt of the same renewal has moved."""
    bad: Sequence[Shortfall] = ()
    """Why an earlier attempt has begun to take it all back, and this one goes on with that."""
    returned: Sequence[Binding] = ()
    """What it had moved, and is back already."""
    strayed: Sequence[Binding] = ()
    """What it had moved, and somebody has bound to something else since: that is left alone."""
    reach: Reach = NOT_LOOKED
    """Of endpoints, before this renewal changed anything."""
    expires: datetime | None = None
    """When the first of what is served there now expires, where that is known."""
    seen: Observed | None = field(default=None, compare=False, repr=False)
    """What it was made of."""

    @property
    def is_nothing(self) -> bool:
        return isinstance(self.replacement, Keep | UploadEach) and not self.attach and not self.retire

    @property
    def rounds(self) -> Sequence[Sequence[Binding]]:
        """What of `attach` goes together, and is read back before the next: wave by wave, or all at once."""
        if not self.waves:
            return (self.attach,)
        ends = list(accumulate(self.waves))
        return [self.attach[start:end] for start, end in zip((0, *ends), ends, strict=False)]


@dataclass(frozen=True, slots=True)
class Superseded:
    """A newer certificate is stored already."""

    stored: Stored
    seen: Observed | None = field(default=None, compare=False, repr=False)
    """What was found to be so."""


_LONGEST_QUEUE = timedelta(hours=1)
Age = Literal["same", "older", "newer"]


def age_of(stored: Stored, leaf: Leaf, *, stored_after: datetime | None = None) -> Age:
    """Whether `stored` is the leaf, or older or newer than it.

    Newer means a later not_before, then a later not_after. A tie with another serial is older: the renewal is news.
    `stored_after`: what tells no more of itself than its end, and was written until then, is not the leaf.
    """
    if _is_same(stored, leaf, stored_after):
        return "same"
    if stored.not_after is None:
        return "older"
    if stored.issued_before is not None and leaf.not_before > stored.issued_before:
        return "older"
    begins = stored.not_before or stored.known_not_before
    if begins is None:
        return "newer" if stored.not_after > leaf.not_after else "older"
    return "newer" if (begins, stored.not_after) > (leaf.not_before, leaf.not_after) else "older"


def supersedes(stored: Stored | None, leaf: Leaf, urgency: Urgency) -> bool:
    """Whether what is stored stays because it is newer."""
    if stored is None or age_of(stored, leaf) != "newer":
        return False
    if urgency.undo_until is None:
        return True
    if stored.not_before is not None:
        return stored.not_before > urgency.undo_until
    # When it was stored says less: the queue in front of it may have been long.
    return stored.stored_at is not None and stored.stored_at - urgency.undo_until > _LONGEST_QUEUE


def _is_same(stored: Stored, leaf: Leaf, stored_after: datetime | None) -> bool:
    if stored.known_not_before is not None:
        return False
    if stored.serial_number is not None:
        return stored.serial_number == leaf.serial_number and stored.not_after in (None, leaf.not_after)
    if stored.fingerprint_prefix is not None:
        return leaf.fingerprint_sha256.startswith(stored.fingerprint_prefix)
    if stored.not_before not in (None, leaf.not_before) or stored.not_after != leaf.not_after:
        return False
    return stored.not_before is not None or not _was_there_before(stored.issued_before, leaf, stored_after)


def _was_there_before(written_at: datetime | None, leaf: Leaf, stored_after: datetime | None) -> bool:
    """Equal ends prove little: a CA that issues a certificate again, with another key, often keeps its end."""
    if written_at is None:
        return stored_after is not None
    return written_at < leaf.not_before or (stored_after is not None and written_at <= stored_after)


def plan_rebind(observed: Observed) -> Plan:
    if observed.stored is None:
        raise RefusedError("not_found", "the certificate to be bound does not exist at the gateway")
    missing = tuple(bound.binding for bound in observed.bound if bound.stored is None)
    present = tuple(bound.binding for bound in observed.bound if bound.stored is not None)
    return Plan(Keep(observed.stored), missing, present, seen=observed)


def plan_in_place(deployment: Deployment, observed: Observed, leaf: Leaf, urgency: Urgency) -> Plan | Superseded:
    check_names(deployment, [bound.binding for bound in observed.bound], leaf)
    stored = observed.stored
    if stored is None:
        if deployment.name is None:
            raise RefusedError(
                "not_found", "the stored certificate does not exist, and the deployment has no name to create it"
            )
        has_ca = deployment.trusted_root_ca is not None
        attach = tuple(with_flag(bound, has_ca=has_ca) for bound in observed.bound)
        return Plan(Create(deployment.name), attach, (), seen=observed)
    if supersedes(stored, leaf, urgency):
        return Superseded(stored)
    match age_of(stored, leaf, stored_after=urgency.stored_after):
        case "same":
            return _plan_missing(Keep(stored), observed, has_ca=bool(stored.has_trusted_root_ca))
        case "older" | "newer":
            if stored.has_trusted_root_ca and deployment.trusted_root_ca is None:
                raise RefusedError(
                    "trusted_root_ca_missing",
                    "the stored certificate has a client CA, which a modification would drop: set trusted_root_ca_file",
                )
            has_ca = bool(stored.has_trusted_root_ca)
            attach = tuple(with_flag(bound, has_ca=has_ca) for bound in observed.bound)
            before, previous = _from_elsewhere(observed, attach), previous_of(stored)
            return Plan(Modify(stored), attach, (), previous=previous, back_to=before, seen=observed)
        case unreachable:
            assert_never(unreachable)


def _plan_missing(keep: Keep, observed: Observed, *, has_ca: bool) -> Plan:
    """The stored certificate is right: only what is not bound, or whose flag drifted, is attached."""
    wanted = [(bound, with_flag(bound, has_ca=has_ca)) for bound in observed.bound]
    attach = tuple(binding for bound, binding in wanted if not is_as_wanted(bound, binding))
    unchanged = tuple(binding for bound, binding in wanted if is_as_wanted(bound, binding))
    before = _from_elsewhere(observed, [binding for _, binding in wanted])
    return Plan(keep, attach, unchanged, back_to=before, seen=observed)


def _from_elsewhere(observed: Observed, wanted: Sequence[Binding]) -> Mapping[Binding, Bound]:
    """What is not bound to our own certificate yet: to nothing, or to somebody else's."""
    rows = ((binding, bound) for bound, binding in zip(observed.bound, wanted, strict=True) if bound.stored is None)
    return {
        binding: replace(bound, stored=Stored(bound.others[0], "") if bound.others else None) for binding, bound in rows
    }


def is_as_wanted(bound: Bound, wanted: Binding) -> bool:
    flag_is_right = bound.client_verification is None or bound.client_verification == wanted.client_verification
    return bound.stored is not None and (wanted.kind == "listener" or flag_is_right)


def with_flag(bound: Bound, *, has_ca: bool) -> Binding:
    """The binding with the flag it shall have: as the settings say, else as it is, else as the gateway's own default.

    Sent explicitly always, because a call without it lets the gateway choose.
    """
    binding = bound.binding
    if binding.kind == "listener" or binding.client_verification is not None:
        return binding
    observed = bound.client_verification
    return binding.with_flag(has_ca if observed is None else observed)


def plan_per_domain(deployment: Deployment, observed: Observed, leaf: Leaf, urgency: Urgency) -> Plan | Superseded:
    check_names(deployment, [bound.binding for bound in observed.bound], leaf)
    newer = next((bound.stored for bound in observed.bound if supersedes(bound.stored, leaf, urgency)), None)
    ours = [
        (bound, None if bound.stored is None else age_of(bound.stored, leaf))
        for bound in observed.bound
        if not supersedes(bound.stored, leaf, urgency)
    ]
    if newer is not None and not ours:
        return Superseded(newer)
    is_right = [age == "same" and is_as_wanted(bound, _with_known_flag(bound)) for bound, age in ours]
    attach = tuple(_with_known_flag(bound) for (bound, _), right in zip(ours, is_right, strict=True) if not right)
    unchanged = tuple(_with_known_flag(bound) for (bound, _), right in zip(ours, is_right, strict=True) if right)
    replaced = [bound.stored for bound, age in ours if age != "same" and bound.stored is not None]
    oldest_first = sorted(replaced, key=lambda stored: (stored.not_after is not None, stored.not_after))
    previous = previous_of(oldest_first[0]) if oldest_first else None
    retire = distinct([*replaced, *observed.leftovers])
    return Plan(UploadEach(), attach, unchanged, retire, previous, superseded_by=newer, seen=observed)


def _with_known_flag(bound: Bound) -> Binding:
    """A fresh upload has no client CA: the flag is kept where it is known, and left to the gateway where it is not."""
    wanted = bound.binding.client_verification
    return bound.binding.with_flag(bound.client_verification if wanted is None else wanted)


def distinct(stored: Sequence[Stored]) -> tuple[Stored, ...]:
    return tuple({one.certificate_id: one for one in stored}.values())


def previous_of(stored: Stored) -> Previous:
    serial = None if stored.serial_number is None else str(stored.serial_number)
    return Previous(serial_number=serial, not_after=stored.not_after)


def is_previous(leaf: Leaf, previous: Previous | None) -> bool:
    """Whether it is what was replaced, as far as its gateway told."""
    if previous is None:
        return False
    if previous.serial_number is not None:
        return previous.serial_number == str(leaf.serial_number)
    return previous.not_after == leaf.not_after
