"""From a message to what is to be rotated: who says so, and a certificate that passed every check."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Unpack

from worker.broker.base import Message
from worker.core.bundle import Bundle, UsedKey
from worker.core.certificate import Known, Rules, check
from worker.core.clock import is_ahead, slow_clock
from worker.core.errors import RefusedError
from worker.core.pem import LONGEST_KEY
from worker.core.quoting import quotes
from worker.core.renewal import InFiles, Renewal
from worker.core.secret import Secret
from worker.trust.keycheck import KeyCheck
from worker.trust.keys import Recipients
from worker.trust.material import Pair, material_in, material_of
from worker.trust.opening import TrustPolicy, open_message
from worker.trust.vault import Vault

_BLANKS: Final = re.compile(r"\s{2,}")


@dataclass(frozen=True, slots=True)
class Intake:
    """Opens messages by the trust policy and checks certificates by the rules; RefusedError says what is wrong."""

    trust: TrustPolicy
    rules: Rules
    roots: Sequence[Path]
    now: Callable[[], datetime]
    recipients: Recipients = field(default_factory=Recipients)
    """The worker's own keys, for sealed material."""
    key_check: KeyCheck = field(default_factory=KeyCheck)
    vault: Vault | None = None

    def renewal_of(self, message: Message) -> Renewal:
        return open_message(message, self.trust, self.now())

    async def bundle_of(self, renewal: Renewal, before: Sequence[UsedKey] = ()) -> Bundle | None:
        """The renewal's certificate; None where the platform holds it. `before`: keys used under its name."""
        material = await material_of(renewal, self.roots, self.recipients, self.vault)
        _compare(renewal, material)
        if material is None:
            return None
        try:
            is_exposed = renewal.reason == "key_compromise"
            return await self.checked(*material, before=before, is_key_exposed=is_exposed, renewal_id=renewal.known_as)
        except RefusedError as error:
            # Where the renewal itself is of the future too, it is not the certificate that begins too late.
            is_of_the_future = renewal.time is not None and is_ahead(renewal.time.timestamp(), self.now())
            if error.reason == "not_yet_valid" and is_of_the_future:
                raise slow_clock(error.reason, error.message) from None
            raise

    async def bundle_in(self, files: InFiles) -> Bundle:
        """What lies on disk below the roots."""
        return await self.checked(*await material_in(files, self.roots))

    async def checked(self, chain_pem: str, private_key_pem: Secret, **known: Unpack[Known]) -> Bundle:
        # Here and not in a thread: it is bounded, takes half a millisecond, and would hold the GIL there as well.
        bundle = check(chain_pem, private_key_pem, now=self.now(), rules=self.rules, **known)
        if bundle.has_rsa_key:
            await self.key_check(bundle.private_key_pem)
        return bundle


def _compare(renewal: Renewal, material: Pair | None) -> None:
    """Raises RefusedError where the key stands in the renewal's id, which is told to all who hear events.

    What is too long without runs of blank space is compared with nothing: the rules refuse it in a moment.
    """
    if material is None:
        return
    key = Secret(_BLANKS.sub("\n", material[1].reveal()))
    if len(key.reveal()) <= LONGEST_KEY and quotes(renewal.id, [key]):
        raise RefusedError("plain_key_refused", "id: the key is in it: treat it as exposed, and issue a new one")
