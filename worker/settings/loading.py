"""From files and environment to checked settings; every mistake is named with its place."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from worker.core.errors import unchained
from worker.settings.checks import EMBEDDED, problems_in, sends_password
from worker.settings.errors import SettingsError
from worker.settings.files import problem_of_kind, problem_of_secret
from worker.settings.folders import problem_of_folders
from worker.settings.model import Settings
from worker.settings.nearest_key import meant_by
from worker.settings.overrides import apply, overrides_in
from worker.settings.sources import Tree, read_toml
from worker.settings.strictness import mistyped

DEFAULT: Final = Path("config/worker.toml")
_CERTIFICATES_DIR: Final = "certificates_dir"
# What `publish` reads, and what of that is needed for writing a renewal down.
_PUBLISHING: Final = (("broker",), ("publish",), ("trust", "roots"))
_SPOOLING: Final = (("publish", "spool"), ("publish", "names"), ("publish", "plain"), ("trust", "roots", "files"))
# These quote a value in their own words.
_OUR_WORDS: Final = {
    "extra_forbidden": "unknown key",
    "union_tag_not_found": "kind: is missing",
    "missing": "is missing",
}

Origins = dict[str, str]
"""Who said it, where it was not the main file: a variable or another file, by the key's full path."""


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Of `path`, else of `ROTATION_CONFIG`, else of config/worker.toml, with the overrides of the environment."""
    file = _file(path, environ)
    tree, origins = read_toml(file), Origins()
    overrides = overrides_in(environ)
    # The certificates come before the overrides that may change them, behind the one that says where they are.
    apply([one for one in overrides if one.path == (_CERTIFICATES_DIR,)], tree, origins)
    _add_certificates(tree, file, file.resolve().parent, origins)
    apply(overrides, tree, origins)
    return _checked(tree, file, origins)


def load_for_publishing(path: Path | None, environ: Mapping[str, str]) -> tuple[Settings, Sequence[str]]:
    """Only what `publish` reads: an ACME client calls its hook once, and a mistake elsewhere must not cost the renewal.

    Also the mistakes because of which nothing can be sent, as long as a renewal can be written down in spite of them;
    all else is as it is by default then. Raises SettingsError where it cannot.
    """
    file = _file(path, environ)
    tree, origins = read_toml(file), Origins()
    try:
        apply([one for one in overrides_in(environ) if _is_of(_PUBLISHING, one.path)], tree, origins)
        return _checked(_part(tree, _PUBLISHING), file, origins), ()
    except SettingsError as error:
        return _to_spool(tree, file, origins, error), error.problems


def lacks_certificate(name: str, path: Path | None, environ: Mapping[str, str]) -> bool:
    """Whether the file has certificates, and none of that name. Where that cannot be told, it lacks nothing."""
    file = _file(path, environ)
    try:
        tree = read_toml(file)
        apply([one for one in overrides_in(environ) if one.path == (_CERTIFICATES_DIR,)], tree, Origins())
        certificates, named = tree.get("certificates", {}), tree.get(_CERTIFICATES_DIR)
        if not isinstance(certificates, dict) or name in certificates:
            return False
        more = sorted((file.resolve().parent / named).glob("*.toml")) if isinstance(named, str) else []
        # There may be thousands: the file that is called after it comes first.
        more.sort(key=lambda one: one.stem != name)
        return bool(certificates or more) and all(name not in _only_certificates(one) for one in more)
    except SettingsError:
        return False


def _to_spool(tree: Tree, file: Path, origins: Origins, every: SettingsError) -> Settings:
    try:
        return _checked(_part(tree, _SPOOLING), file, origins)
    except SettingsError:
        raise every from None


def _is_of(wanted: Iterable[Sequence[str]], path: Sequence[str]) -> bool:
    return any(tuple(path[: len(one)]) == tuple(one) for one in wanted)


def _part(tree: Tree, wanted: Iterable[Sequence[str]]) -> Tree:
    part: Tree = {}
    for path in wanted:
        _copy(tree, part, path)
    return part


def _copy(tree: Tree, part: Tree, path: Sequence[str]) -> None:
    """What stands where a table should is copied as it is: the check of the types shall see it."""
    key, *rest = path
    if not rest or not isinstance(tree.get(key, {}), dict):
        part.update({key: tree[key]} if key in tree else {})
    else:
        _copy(tree.get(key, {}), part.setdefault(key, {}), rest)


def _file(path: Path | None, environ: Mapping[str, str]) -> Path:
    return path or Path(environ.get("ROTATION_CONFIG") or DEFAULT)


@unchained
def _checked(tree: Tree, file: Path, origins: Origins) -> Settings:
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        raise _error(_described(error, tree), file, origins) from None
    wrong_types = [_shown(problem) for problem in mistyped(tree, settings.model_dump(by_alias=True))]
    settings = _anchored(settings, file.resolve().parent)
    problems = [*wrong_types, *problems_in(settings), *_shown_to_everybody(tree, file, origins)]
    if problems:
        raise _error(problems, file, origins)
    return settings


def _shown_to_everybody(tree: Tree, file: Path, origins: Origins) -> Iterator[str]:
    """Where the URL was overridden, the file's own is not known any more."""
    url = tree.get("broker", {}).get("url", "")
    if "broker.url" not in origins and sends_password(url) and _is_for_everybody(file):
        yield "broker.url: has a password, and everybody can read this file: use broker.url_file"


def _is_for_everybody(file: Path) -> bool:
    try:
        return bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:
        return True


def _error(problems: Sequence[str], file: Path, origins: Origins) -> SettingsError:
    """Each problem begins with the key that it is about; put before it is who set that key."""

    def told(problem: str) -> str:
        said = [key for key in origins if problem.startswith((f"{key}.", f"{key}:"))]
        return f"{origins[max(said, key=len)] if said else file}: {problem}"

    return SettingsError([told(problem) for problem in problems])


def _add_certificates(tree: Tree, file: Path, folder: Path, origins: Origins) -> None:
    """Those of every file in `certificates_dir`."""
    named, certificates = tree.get(_CERTIFICATES_DIR), tree.setdefault("certificates", {})
    if not isinstance(named, str) or not isinstance(certificates, dict):
        return  # left to the check of the types
    if not (folder / named).is_dir():
        raise _error([f"{_CERTIFICATES_DIR}: no such folder"], file, origins)
    if (folder / named).stat().st_mode & stat.S_IWOTH:
        # Also a sticky one: each file that is added to it decides who may renew what.
        raise _error([f"{_CERTIFICATES_DIR}: can be written by everybody"], file, origins)
    for more in sorted((folder / named).glob("*.toml")):
        for name, certificate in _only_certificates(more).items():
            key = f"certificates.{name}"
            if name in certificates:
                raise SettingsError([f"{more}: {_shown(key)} stands in {origins.get(key, file)} too"])
            certificates[name] = certificate
            origins[key] = str(more)


def _only_certificates(file: Path) -> Tree:
    tree = read_toml(file)
    others = sorted(set(tree) - {"certificates"})
    if others:
        raise SettingsError([f"{file}: {_shown(key)}: only [certificates.NAME] belongs here" for key in others])
    certificates = tree.get("certificates", {})
    if not isinstance(certificates, dict):
        raise SettingsError([f"{file}: certificates: [certificates.NAME] is the form"])
    return certificates


def _described(error: ValidationError, tree: Tree) -> Sequence[str]:
    """One line a key; where a value could have been one of several things, only what was wrong deepest inside."""
    found: dict[str, str] = {}
    for one in error.errors(include_url=False, include_input=False):
        path = _path(one["loc"], tree, is_key_there=one["type"] not in ("missing", "extra_forbidden"))
        found.setdefault(path, _in_words(one))
    return [
        f"{path}: {message}" for path, message in found.items() if not any(key.startswith(f"{path}.") for key in found)
    ]


def _in_words(problem: ErrorDetails) -> str:
    kind = problem["type"]
    if kind == "union_tag_invalid":
        return f"kind: must be {str(problem['ctx']['expected_tags']).replace(', ', ' or ')}"
    meant = meant_by(problem["loc"]) if kind == "extra_forbidden" else None
    return _OUR_WORDS.get(kind, problem["msg"]) + (f" (did you mean {meant}?)" if meant else "")


def _path(loc: Sequence[str | int], tree: Tree, *, is_key_there: bool) -> str:
    """The keys as they stand in the file: the names of types, which pydantic puts in between, are left out."""
    place: Any = tree
    keys = []
    for number, step in enumerate(loc, 1):
        is_last = number == len(loc)
        is_named = isinstance(place, dict) and step in place and (is_last or place.get("kind") != step)
        if isinstance(place, dict) and (is_named or (is_last and not is_key_there)):
            place = place.get(step)
        elif isinstance(place, list) and isinstance(step, int):
            place = place[step]
        else:
            continue
        keys.append(_shown(str(step)))
    return ".".join(keys)


def _shown(key: str) -> str:
    """On one line, and without what would steer a terminal."""
    return "".join(character if character.isprintable() else "?" for character in key[:200])


def _anchored(settings: Settings, folder: Path) -> Settings:
    """Relative paths are meant from the file's folder."""
    tree = _anchor(settings, folder)
    for section in {"broker", "publish"} - settings.model_fields_set:
        del tree[section]  # what is not named stays so
    if settings.trust.ca_bundle != "system":
        tree["trust"]["ca_bundle"] = str(folder / settings.trust.ca_bundle)
    embedded = settings.broker.url.removeprefix(EMBEDDED)
    if embedded not in ("", settings.broker.url):
        tree["broker"]["url"] = f"{EMBEDDED}{folder / embedded}"
    return Settings.model_validate(tree)


def _anchor(value: Any, folder: Path) -> Any:
    match value:
        case Path():
            return folder / value
        case BaseModel():
            return {
                field.alias or name: _anchor(getattr(value, name), folder)
                for name, field in type(value).model_fields.items()
            }
        case dict():
            return {key: _anchor(one, folder) for key, one in value.items()}
        case tuple():
            return tuple(_anchor(one, folder) for one in value)
        case _:
            return value


def check_named_files(settings: Settings) -> None:
    """Raises SettingsError when a file is missing, has a secret and is for everybody, or can be replaced by others."""
    problems = problems_of_files(settings)
    if problems:
        raise SettingsError(problems)


def problems_of_files(settings: Settings, *sections: str) -> Sequence[str]:
    """Of these sections, or of all."""
    found = [
        *((place, _problem_of(path, problem_of_secret)) for place, path in secret_files(settings)),
        *((place, _problem_of(path, problem_of_kind)) for place, path in ca_files(settings)),
        *((place, problem_of_folders(path)) for place, path in _looked_at_later(settings)),
    ]
    return [
        f"{place}: {problem}"
        for place, problem in found
        if problem is not None and (not sections or place.partition(".")[0] in sections)
    ]


def _problem_of(path: Path, look: Callable[[os.stat_result], str | None]) -> str | None:
    try:
        return look(path.stat()) or problem_of_folders(path)
    except OSError as error:
        return error.strerror


def _looked_at_later(settings: Settings) -> Iterator[tuple[str, Path]]:
    """What is wrong with these themselves is told when they are read."""
    trust, publish = settings.trust, settings.publish
    named: list[tuple[str, Path | None]] = [
        *((f"trust.producers.{name}.public_key", one.public_key) for name, one in trust.producers.items()),
        ("trust.ca_bundle", None if trust.ca_bundle == "system" else Path(trust.ca_bundle)),
        ("publish.recipient_key", publish.recipient_key),
        ("broker.cert_file", settings.broker.cert_file if settings.broker.key_file is not None else None),
        ("trust.vault.auth.jwt_file", getattr(trust.vault.auth, "jwt_file", None) if trust.vault else None),
    ]
    yield from ((place, path) for place, path in named if path is not None)


def ca_files(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Every file of CAs, with the key that names it: who writes there says whom the worker, or a gateway, trusts."""
    named: list[tuple[str, Path | None]] = [
        ("broker.ca_file", settings.broker.ca_file),
        ("http.cert_file", settings.http.cert_file),
        ("http.client_ca_file", settings.http.client_ca_file),
    ]
    if settings.trust.vault is not None:
        named.append(("trust.vault.ca_file", settings.trust.vault.ca_file))
    named += [(f"gateways.{name}.ca_file", gateway.ca_file) for name, gateway in settings.gateways.items()]
    for name, certificate in settings.certificates.items():
        for number, deployment in enumerate(certificate.deployments):
            place = f"certificates.{name}.deployments.{number}.trusted_root_ca_file"
            named.append((place, deployment.trusted_root_ca_file))
    yield from ((place, path) for place, path in named if path is not None)


def secret_files(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Every file that holds a secret, with the key that names it."""
    named: list[tuple[str, Path | None]] = [
        ("broker.url_file", settings.broker.url_file),
        ("broker.key_file", settings.broker.key_file),
        # Without a file of its own the key stands in this one.
        ("broker.cert_file", settings.broker.cert_file if settings.broker.key_file is None else None),
        ("publish.producer_key", settings.publish.producer_key),
        ("http.token_file", settings.http.token_file),
        ("http.key_file", settings.http.key_file),
    ]
    named += [(f"trust.recipient_keys.{number}", key) for number, key in enumerate(settings.trust.recipient_keys)]
    # Not `jwt_file`: Kubernetes chooses its mode, and nobody else is in the pod.
    for key in ("token_file", "role_id_file", "secret_id_file"):
        if settings.trust.vault is not None:
            named.append((f"trust.vault.auth.{key}", getattr(settings.trust.vault.auth, key, None)))
    for name, gateway in settings.gateways.items():
        for key in ("password_file", "access_key_file", "secret_key_file", "token_file", "key_id_file", "secret_file"):
            named.append((f"gateways.{name}.auth.{key}", getattr(gateway.auth, key, None)))
    yield from ((place, path) for place, path in named if path is not None)
