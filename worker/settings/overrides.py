"""`ROTATION_SECTION__KEY`: a scalar of the settings, from the environment."""

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from worker.settings.errors import SettingsError
from worker.settings.sources import Tree

_PREFIX: Final = "ROTATION_"
_OTHERS: Final = ("ROTATION_CONFIG", "ROTATION_TEST_")
_URL: Final = ("broker", "url")
_URL_FILE: Final = ("broker", "url_file")


class Text(str):
    """A value as the environment has it: it means whatever its setting is."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Override:
    """One variable. `path` is in lower case: the environment is not asked to know more."""

    variable: str
    path: tuple[str, ...]
    value: str = field(repr=False)


def overrides_in(environ: Mapping[str, str]) -> Sequence[Override]:
    """Those of an environment, in the order of their names."""
    return [
        Override(variable, tuple(variable.removeprefix(_PREFIX).lower().split("__")), value)
        for variable, value in sorted(environ.items())
        if variable.startswith(_PREFIX) and not _is_anothers(variable)
    ]


def _is_anothers(variable: str) -> bool:
    return variable == _OTHERS[0] or variable.startswith(_OTHERS[1])


def apply(overrides: Iterable[Override], tree: Tree, origins: MutableMapping[str, str]) -> None:
    """Puts the values into the tree; `origins` learns which variable said what, by the key's full path."""
    every = list(overrides)
    lost = [override for override in every if not _put(override, tree, origins)]
    if lost:
        raise SettingsError([f"{override.variable}: names no setting" for override in lost])
    paths = {override.path for override in every}
    if _URL in paths and _URL_FILE not in paths:
        # It would count before the URL that was asked for. The other way round the file's `url` stays: it counts for
        # nothing beside a `url_file`, and a password in it must still be hidden.
        tree.get("broker", {}).pop(_URL_FILE[-1], None)


def _put(override: Override, tree: Tree, origins: MutableMapping[str, str]) -> bool:
    """False when the path leads through something that is neither a table nor a list with such an entry."""
    place: Any = tree
    walked: list[str] = []
    for depth, step in enumerate(override.path, 1):
        key = _key(place, step)
        if key is None:
            return False
        walked.append(str(key))
        if depth == len(override.path):
            place[key] = Text(override.value)
        elif isinstance(place, dict) and key not in place:
            place[key] = {}
            origins.setdefault(".".join(walked), override.variable)
        place = place[key]
    origins[".".join(walked)] = override.variable
    return True


def _key(place: Any, step: str) -> str | int | None:
    """As the file spells it: a variable's name knows no case, no hyphen and no dot."""
    if isinstance(place, list):
        return int(step) if step.isdecimal() and int(step) < len(place) else None
    if not isinstance(place, dict) or not step:
        return None
    same = [key for key in place if key.lower() == step]
    alike = [key for key in place if _plain(key) == step]
    return next(iter([*same, *alike]), step)


def _plain(key: str) -> str:
    return key.lower().replace("-", "_").replace(".", "_")
