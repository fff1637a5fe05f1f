"""What we take and x509-limbo does not, and why we do; nothing may join."""

from collections.abc import Mapping
from typing import Final

FEWEST_AGREED: Final = 146
"""Of 184 cases. Only ever raised."""
FALSE_ACCEPTS: Final[Mapping[str, frozenset[str]]] = {
    "how a CA writes its own certificate (identifiers, usages, sizes): its auditors' business": frozenset(
        {
            "rfc5280::aki::intermediate-missing-aki",
            "rfc5280::aki::cross-signed-root-missing-aki",
            "rfc5280::nc::permitted-dns-match-noncritical",
            "rfc5280::pc::ica-noncritical-pc",
            "rfc5280::ski::root-missing-ski",
            "rfc5280::ski::intermediate-missing-ski",
            "webpki::aki::root-with-aki-authoritycertissuer",
            "webpki::aki::root-with-aki-authoritycertserialnumber",
            "webpki::aki::root-with-aki-all-fields",
            "webpki::aki::root-with-aki-ski-mismatch",
            "webpki::eku::root-has-eku",
            "webpki::forbidden-rsa-not-divisible-by-8-in-root",
        }
    ),
    "how the common name is spelled, which no client reads any more": frozenset(
        {
            "webpki::cn::ipv4-hex-mismatch",
            "webpki::cn::ipv4-leading-zeros-mismatch",
            "webpki::cn::ipv6-uppercase-mismatch",
            "webpki::cn::ipv6-uncompressed-mismatch",
            "webpki::cn::ipv6-non-rfc5952-mismatch",
            "webpki::cn::punycode-not-in-san",
            "webpki::cn::utf8-vs-punycode-mismatch",
            "webpki::cn::not-in-san",
            "webpki::cn::case-mismatch",
        }
    ),
    "what begins within five minutes has begun: clocks differ": frozenset(
        {
            "rfc5280::validity::notbefore-fractional",
            "rfc5280::validity::not-yet-valid-1-second",
            "rfc5280::validity::not-yet-valid-5-seconds",
        }
    ),
    "a wildcard right below a public suffix of two labels: there is no list of such suffixes here": frozenset(
        {
            "webpki::san::public-suffix-multi-label-wildcard-san",
            "webpki::san::public-suffix-private-namespace-wildcard-san",
        }
    ),
}


def why(case: str) -> str | None:
    """Why this one is taken; None where nobody said so."""
    return next((reason for reason, cases in FALSE_ACCEPTS.items() if case in cases), None)
