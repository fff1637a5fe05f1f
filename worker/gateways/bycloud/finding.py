"""Which stored certificate is a deployment's own. Calls are few: what was found once is shown by its id, not listed."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from worker.core.bundle import Leaf
from worker.core.deployment import Binding, Deployment
from worker.core.errors import PermanentError
from worker.core.planning import age_of
from worker.core.uploads import base_name, uploaded_name
from worker.gateways.bycloud.client import ByCloudClient
from worker.gateways.bycloud.sight import check_active
from worker.gateways.bycloud.wire import Certificate

_SPOILT: Final = frozenset({"error", "revoked"})
_MOST_ASKED: Final = 5
"""Uploads that are shown one by one, where the list leaves their bindings out: they are never deleted."""
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Found:
    """Of `replace`, also what else the listeners are bound to, while `certificate` is not bound everywhere yet."""

    certificate: Certificate | None
    formers: Sequence[Certificate] = ()
    """The deployment's own."""
    strangers: Sequence[Certificate] = ()
    listed: int = 0
    """How many certificates the account's list had, where it was read."""


@dataclass(frozen=True, slots=True)
class Finder:
    """Finds by reading only."""

    client: ByCloudClient
    _known: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By deployment, the name and id of what was found or made last: a hint, of use only once it is seen again."""

    def remember(self, deployment: Deployment, certificate: Certificate) -> None:
        self._known[deployment.key] = (certificate.name, certificate.id)

    async def find(self, deployment: Deployment, leaf: Leaf | None, known: Collection[str] = ()) -> Found:
        """By id, and for `in_place` by name where there is none of that id; for `replace`, an upload.

        `known`: ids of what listeners were bound to before, to be asked in any case.
        """
        if deployment.strategy == "replace":
            return await self._upload(deployment, leaf, known)
        return Found(await self._single(deployment))

    async def _single(self, deployment: Deployment) -> Certificate | None:
        certificate = await self._by_id(deployment.certificate_id)
        if certificate is None and deployment.strategy == "in_place" and deployment.name is not None:
            return await self._by_name(deployment, deployment.name)
        return certificate

    async def _by_id(self, certificate_id: str | None) -> Certificate | None:
        if certificate_id is None:
            return None
        try:
            return await self.client.show(certificate_id)
        except PermanentError as error:
            if error.reason != "not_found":
                raise
            return None

    async def _by_name(self, deployment: Deployment, wanted: str) -> Certificate | None:
        known = await self._remembered(deployment, lambda name: name == wanted)
        if known is not None:
            return known
        same = [one for one in await self.client.listed() if one.name == wanted]
        if len(same) > 1:
            raise PermanentError("ambiguous_name", "several stored certificates have the deployment's name")
        return await self._shown(deployment, same[0].id) if same else None

    async def _upload(self, deployment: Deployment, leaf: Leaf | None, before: Collection[str]) -> Found:
        """The upload of this very leaf where there is one, else this deployment's latest."""
        if leaf is not None:
            known = await self._remembered(deployment, lambda name: name == uploaded_name(base_name(name), leaf))
            # Where another one is bound by now, what is remembered is not the whole story.
            if known is not None and all(known.at(one.name, sni=one.sni) for one in deployment.bindings or ()):
                return Found(known)
        origin = await self._by_id(deployment.certificate_id)
        base = deployment.name or (base_name(origin.name) if origin is not None else "")
        listed = await self.client.listed() if base else ()
        uploads = [one for one in listed if base_name(one.name) == base]
        mine = [one for one in uploads if leaf is not None and one.name == uploaded_name(base, leaf)]
        own = _by_age(uploads, origin)
        latest = next(iter(own), None)
        if not mine or leaf is None or (latest is not None and _is_newer(latest, mine, leaf)):
            chosen = None if latest is None else await self._with_bindings(latest)
        else:
            chosen = await self._own(deployment, mine)
            own = [one for one in own if one not in mine]
        others = [one for one in own if chosen is None or one.id != chosen.id]
        missing = _missing(deployment.bindings or (), chosen)
        formers, missing = await self._formers(others, missing, before)
        seen = {one.id for one in (*own, chosen) if one is not None}
        strangers = [one for one in listed if one.id not in seen and not _is_spoilt(one)]
        return Found(chosen, formers, await self._strangers(strangers, missing, before), len(listed))

    async def _formers(
        self, others: Sequence[Certificate], missing: Sequence[Binding], before: Collection[str]
    ) -> tuple[Sequence[Certificate], Sequence[Binding]]:
        """Its own that any of the missing is bound to, and what is missing then. The latest is one in any case.

        What the list shows of them is judged; where it shows nothing, some are asked, the latest first.
        """
        formers, asked = list[Certificate](), 0
        for one in others:
            if not missing:
                break
            asked += one.bindings is None
            if one.bindings is None and asked > _MOST_ASKED and one.id not in before:
                continue
            shown = await self._with_bindings(one) if formers else await self.client.show(one.id)
            left = _missing(missing, shown)
            if not formers or left != missing:
                formers.append(shown)
            missing = left
        return formers, missing

    async def _strangers(
        self, strangers: Sequence[Certificate], missing: Sequence[Binding], before: Collection[str]
    ) -> Sequence[Certificate]:
        """Of these only what the list shows is known, but where a listener is known to have been bound to one."""
        if not missing:
            return ()
        shown = [await self._with_bindings(one) if one.id in before else one for one in strangers]
        return [one for one in shown if _missing(missing, one) != missing]

    async def served_until(self, listeners: Sequence[Binding]) -> datetime | None:
        """When the first certificate that one of these has expires: what ends first is asked first."""
        ending = sorted(
            (one.expires_at, number, one) for number, one in enumerate(await self.client.listed()) if one.expires_at
        )
        asked = 0
        for end, _, one in ending:
            asked += one.bindings is None
            if asked > _MOST_ASKED:
                break
            if _missing(listeners, await self._with_bindings(one)) != listeners:
                return end
        return None

    async def _with_bindings(self, certificate: Certificate) -> Certificate:
        """A list may leave them out."""
        return certificate if certificate.bindings is not None else await self.client.show(certificate.id)

    async def _own(self, deployment: Deployment, mine: Sequence[Certificate]) -> Certificate:
        """The upload of this leaf. Raises `certificate_not_active` when the platform has given it up.

        It is not uploaded again: its name is taken, and where the platform does not mind, each attempt would leave one
        more that no call deletes.
        """
        certificate = await self._shown(deployment, min(mine, key=_is_spoilt).id)
        if _is_spoilt(certificate):
            check_active(certificate)
        return certificate

    async def _shown(self, deployment: Deployment, certificate_id: str) -> Certificate:
        """A list may leave the bindings out."""
        certificate = await self.client.show(certificate_id)
        self.remember(deployment, certificate)
        return certificate

    async def _remembered(self, deployment: Deployment, is_meant: Callable[[str], bool]) -> Certificate | None:
        name, certificate_id = self._known.get(deployment.key, ("", ""))
        certificate = await self._by_id(certificate_id) if is_meant(name) else None
        if certificate is None or certificate.name != name or _is_spoilt(certificate):
            return None
        return certificate


def _is_spoilt(certificate: Certificate) -> bool:
    return certificate.status in _SPOILT


def _is_newer(latest: Certificate, mine: Sequence[Certificate], leaf: Leaf) -> bool:
    """Another certificate has taken the place of this leaf's upload: the leaf comes again, and late."""
    return latest.id not in {one.id for one in mine} and age_of(latest.stored(), leaf) == "newer"


def _by_age(uploads: Sequence[Certificate], origin: Certificate | None) -> Sequence[Certificate]:
    """The one stored last comes first: a certificate that replaced another may well expire before it."""
    sound = {one.id: one for one in uploads if not _is_spoilt(one)}
    known = sound if origin is None else {**sound, origin.id: origin}
    return sorted(known.values(), key=lambda one: (one.created_at or _NEVER, one.expires_at or _NEVER), reverse=True)


def _missing(listeners: Sequence[Binding], certificate: Certificate | None) -> Sequence[Binding]:
    """Those that are not bound to it."""
    if certificate is None:
        return listeners
    return [one for one in listeners if not certificate.is_active_at(one.name, sni=one.sni)]
