"""Free ports on loopback."""

import random
import socket
from contextlib import suppress

_BELOW_THE_SYSTEMS_OWN = range(10_000, 32_000)
"""The system gives none of these to who asks for any: nobody else's server comes to listen there in between."""


def free_port() -> int:
    chance = random.SystemRandom()
    while True:
        port = chance.choice(_BELOW_THE_SYSTEMS_OWN)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
