"""From files and environment to checked settings; every mistake is named with its place."""

import re
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from worker.settings.checks import problems_in
from worker.settings.errors import SettingsError
from worker.settings.model import Settings

DEFAULT: Final = Path("config/worker.toml")
_LARGEST: Final = 1024 * 1024
_AT_LINE: Final = re.compile(r"at line (\d+)")
_NOT_OVERRIDES: Final = ("ROTATION_CONFIG", "ROTATION_TEST_")

Tree = dict[str, Any]


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Of `path`, else of `ROTATION_CONFIG`, else of config/worker.toml, with the overrides of the environment."""
    file = path or Path(environ.get("ROTATION_CONFIG") or DEFAULT)
    tree = _read(file)
    _override(tree, environ)
    folder = file.resolve().parent
    _add_certificates(tree, folder)
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        raise SettingsError([f"{file}: {problem}" for problem in _described(error)]) from None
    settings = _anchored(settings, folder)
    problems = problems_in(settings)
    if problems:
        raise SettingsError([f"{file}: {problem}" for problem in problems])
    return settings


def _read(file: Path) -> Tree:
    try:
        status = file.stat()
        if status.st_size > _LARGEST:
            raise SettingsError([f"{file}: over {_LARGEST} bytes"])
        if status.st_mode & stat.S_IWOTH:
            raise SettingsError([f"{file}: can be written by everybody"])
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError([f"{file}: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise SettingsError([f"{file}: not in UTF-8"]) from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([f"{file}: {_place(str(error), text)}"]) from None
    except RecursionError:
        raise SettingsError([f"{file}: nested too deeply"]) from None


def _place(message: str, text: str) -> str:
    """The line and its key. The reader's own words may quote a value, except for these."""
    found = _AT_LINE.search(message)
    if found is None:
        return "not valid TOML"
    number = int(found[1])
    line = text.splitlines()[number - 1] if number <= len(text.splitlines()) else ""
    key = line.partition("=")[0].strip()
    what = (
        "stands twice" if "overwrite" in message or "twice" in message or "redefine" in message else "is not valid TOML"
    )
    return f"line {number}: {key or 'the line'} {what}"


def _override(tree: Tree, environ: Mapping[str, str]) -> None:
    """`ROTATION_SECTION__KEY`: every scalar, by its path; digits number the entries of lists."""
    for variable, value in environ.items():
        if not variable.startswith("ROTATION_") or variable.startswith(_NOT_OVERRIDES):
            continue
        path = variable.removeprefix("ROTATION_").lower().split("__")
        if len(path) == 1 and path[0] not in Settings.model_fields:
            continue  # a variable of somebody else's
        _put(tree, path, value, variable)


def _put(tree: Tree, path: Sequence[str], value: str, variable: str) -> None:
    place: Any = tree
    for step in path[:-1]:
        place = _entered(place, step, variable)
    if not isinstance(place, dict):
        raise SettingsError([f"{variable}: names no setting"])
    place[_spelled(place, path[-1])] = value


def _entered(place: Any, step: str, variable: str) -> Any:
    if isinstance(place, list) and step.isdecimal() and int(step) < len(place):
        return place[int(step)]
    if not isinstance(place, dict):
        raise SettingsError([f"{variable}: names no setting"])
    return place.setdefault(_spelled(place, step), {})


def _spelled(place: Tree, step: str) -> str:
    """The key as the file spells it: the environment knows no case, and no hyphen."""
    return next((key for key in place if key.lower() == step or key.lower().replace("-", "_") == step), step)


def _add_certificates(tree: Tree, folder: Path) -> None:
    named = tree.get("certificates_dir")
    if not isinstance(named, str):
        return
    home: dict[str, str] = dict.fromkeys(tree.get("certificates") or {}, "the main file")
    for file in sorted((folder / named).glob("*.toml")):
        more = _read(file)
        if set(more) - {"certificates"}:
            raise SettingsError([f"{file}: only [certificates.NAME] belongs here"])
        for name, certificate in (more.get("certificates") or {}).items():
            if name in home:
                raise SettingsError([f"{file}: certificates.{name} stands in {home[name]} too"])
            home[name] = str(file)
            tree.setdefault("certificates", {})[name] = certificate


def _described(error: ValidationError) -> Iterator[str]:
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        path = ".".join(str(part) for part in one["loc"])
        yield f"{path}: {'unknown key' if one['type'] == 'extra_forbidden' else one['msg']}"


def _anchored(settings: Settings, folder: Path) -> Settings:
    """Relative paths are meant from the file's folder."""
    return Settings.model_validate(_anchor(settings, folder))


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


def check_secret_files(settings: Settings) -> None:
    """Raises SettingsError when a file with a secret is missing or can be read by everybody."""
    problems = [problem for place, path in secret_files(settings) if (problem := _problem_of(place, path))]
    if problems:
        raise SettingsError(problems)


def _problem_of(place: str, path: Path) -> str | None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return f"{place}: {error.strerror}"
    return f"{place}: the file can be read by everybody" if mode & stat.S_IROTH else None


def secret_files(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Every file that holds a secret, with the key that names it."""
    named: list[tuple[str, Path | None]] = [
        ("broker.url_file", settings.broker.url_file),
        ("broker.key_file", settings.broker.key_file),
        ("publish.producer_key", settings.publish.producer_key),
    ]
    named += [(f"trust.recipient_keys.{number}", key) for number, key in enumerate(settings.trust.recipient_keys)]
    for name, gateway in settings.gateways.items():
        for key in ("password_file", "secret_key_file", "token_file", "secret_file"):
            named.append((f"gateways.{name}.auth.{key}", getattr(gateway.auth, key, None)))
    yield from ((place, path) for place, path in named if path is not None)
