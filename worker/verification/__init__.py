"""What clients are served: proved by TLS handshakes, not by what an API answered."""

from worker.verification.handshake import served_chain
from worker.verification.places import asked_names, hostless
from worker.verification.probing import Probing

__all__ = ["Probing", "asked_names", "hostless", "served_chain"]
