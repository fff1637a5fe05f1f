"""Whether a certificate is for the names that it shall be bound to."""

from collections.abc import Iterable, Sequence

from worker.core.bundle import Leaf
from worker.core.deployment import Binding, Certificate, Deployment
from worker.core.errors import Failure, RefusedError
from worker.core.names import uncovered


def check_listed(certificate: Certificate, leaf: Leaf | None) -> None:
    """What the settings list needs no call to be known."""
    if leaf is None:
        return
    check_covered(certificate.name, certificate.names, leaf)
    for deployment in certificate.deployments:
        if deployment.strategy != "per_domain":
            check_names(deployment, deployment.bindings or (), leaf)


def refusal_in(steps: Iterable[object]) -> Failure | None:
    """A certificate that does not cover a bound name anywhere is refused everywhere, before anything is changed.

    Told, not raised: an error that a frame holds and that holds the frame waits for the collector, the key with it.
    """
    refused = (one for one in steps if isinstance(one, RefusedError) and one.reason == "name_not_covered")
    return next(map(Failure.of, refused), None)


def check_names(deployment: Deployment, bindings: Sequence[Binding], leaf: Leaf) -> None:
    """Raises RefusedError(`name_not_covered`) when a bound domain is not among the leaf's names."""
    # A domain that the gateway does not know has no name to be covered: it fails by itself, when it is attached.
    bound = [one.name for one in bindings if one.kind == "domain" and one.name != one.domain_id]
    check_covered(deployment.gateway, bound, leaf)


def check_covered(place: str, known: Sequence[str], leaf: Leaf) -> None:
    """Raises RefusedError(`name_not_covered`) when one of the names is not among the leaf's."""
    missing = uncovered(known, leaf.names)
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")  # noqa: PLR2004
        raise RefusedError("name_not_covered", f"{place}: the certificate does not cover {shown}")
