"""From flags, files and environment to one value for each key, with its source; all that is wrong, at once.

First hit wins: flag, settings.yaml, environment, host file, default. Within a layer `test_K` and `dev_K` win over `K`
in their modes. Whatever stands in a file is checked, whether this mode needs it or not.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from dockyard.errors import Problem, SettingsError, UsageError
from dockyard.service import Service
from dockyard.settings import nodes
from dockyard.settings.key import OVERRIDES, Key, Scope
from dockyard.settings.keys import AUTOSTART, IMAGE, KEYS, NAME
from dockyard.settings.nodes import Node, Scalar
from dockyard.settings.resolve import Layer, Settings, Value, resolve
from dockyard.settings.types import UnfitError
from dockyard.settings.values import Mode
from dockyard.text import did_you_mean

T = TypeVar("T")
Flags = Mapping[str, str | bool | tuple[str, ...]]
"""What flags say, by key name: a list for the keys that take one, a truth for booleans, text for all others."""

SETTINGS_FILE = "settings.yaml"


@cache
def _spellings() -> dict[str, tuple[str, Key[Any]]]:
    """Return every word that a file may use as a key, with its canonical spelling and its key."""
    overrides = {f"{p}{n}": (f"{p}{key.name}", key) for key in KEYS.values() for n in key.names for p in OVERRIDES}
    return overrides | {name: (key.name, key) for key in KEYS.values() for name in key.names}


def _read(key: Key[T], spelling: str, node: Node) -> T:
    """Return a node's value; raises SettingsError."""
    if isinstance(node, Scalar) and (node.empty or not node.text):
        if key.required:
            raise SettingsError([Problem(node.where, f"`{spelling}` needs a value: {key.type.expected}")])
        return key.type.nothing  # type: ignore[return-value]
    try:
        return key.type.read(node)
    except UnfitError as error:
        raise SettingsError(
            [Problem(where, f"`{spelling}` must be {expected}, not {found}") for where, expected, found in error.faults]
        ) from None


def read_file(text: str, name: str, scope: Scope) -> Layer:
    """Return what the text of a settings or host file says; `name` is what positions call it.

    Raises SettingsError with everything that is wrong.
    """
    layer: dict[str, Value[Any]] = {}
    problems: list[Problem] = []
    for key_node, node in nodes.parse(text, name).pairs:
        try:
            spelling, key = _known(key_node, scope)
            value = Value(_read(key, key_node.text, node), _without_column(key_node.where), key_node.text)
            _refuse_two_meanings(layer.get(spelling), value, key_node)
            layer[spelling] = value
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    return layer


def _known(node: Scalar, scope: Scope) -> tuple[str, Key[Any]]:
    """Return the canonical spelling and the key that a word of a file stands for; raises SettingsError."""
    if node.text not in _spellings():
        hint = did_you_mean(node.text, _spellings()) or "`d-run --explain` shows all keys"
        raise SettingsError([Problem(node.where, f"unknown key `{node.text}`", hint)])
    spelling, key = _spellings()[node.text]
    if key.scope not in {Scope.ANYWHERE, scope}:
        raise SettingsError(
            [Problem(node.where, f"`{node.text}` has no place here", f"it belongs in the {key.scope.value}")]
        )
    return spelling, key


def _refuse_two_meanings(before: Value[Any] | None, value: Value[Any], node: Scalar) -> None:
    if before and before.spelling == node.text:
        raise SettingsError([Problem(node.where, f"`{node.text}` stands twice", f"the first is at {before.source}")])
    if before and before.value != value.value:
        message = f"`{node.text}` and `{before.spelling}` are one key, and say two things"
        raise SettingsError([Problem(node.where, message, f"the other is at {before.source}")])


def _without_column(where: str) -> str:
    return where.rpartition(":")[0]


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """Return what the environment says. A variable that is empty says nothing; a list is written `[a, b]`."""
    layer: dict[str, Value[Any]] = {}
    problems: list[Problem] = []
    for key in KEYS.values():
        for prefix in ("", *OVERRIDES):
            for name in key.variables(prefix):
                if environ.get(name) and prefix + key.name not in layer:
                    try:
                        value = _read(key, name, _environment_node(environ[name], name))
                        layer[prefix + key.name] = Value(value, f"env {name}", prefix + key.name)
                    except SettingsError as error:
                        problems += error.problems
    if problems:
        raise SettingsError(problems)
    return layer


def _environment_node(text: str, name: str) -> Node:
    if text.startswith(("[", "{")):
        return nodes.parse(f"value: {text}", f"env {name}").pairs[0][1]
    return Scalar(text, f"env {name}")


def flag_layer(flags: Flags) -> Layer:
    """Return what flags say, by key name. A list stands in place of the file's, it does not add to it."""
    layer: dict[str, Value[Any]] = {}
    problems: list[Problem] = []
    for name, given in flags.items():
        key = KEYS[name]
        flag = key.flags[-1] if key.flags else f"--{name}"
        if isinstance(given, tuple):
            node: Node = nodes.Sequence(tuple(Scalar(text, flag) for text in given), flag)
        else:
            node = Scalar(str(given).lower() if isinstance(given, bool) else given, flag)
        try:
            layer[name] = Value(_read(key, flag, node), f"flag {flag}", name)
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    return layer


class HostLayers(NamedTuple):
    """What does not depend on the service: the environment and the host file."""

    environment: Layer
    host_file: Layer

    def settings(self) -> Settings:
        """Return the settings of the host alone."""
        return resolve([{}, self.environment, self.host_file], Mode.PROD, {})


def read_host(environ: Mapping[str, str]) -> HostLayers:
    """Read the environment and the host file: $DOCKYARD_HOST, else the user's, else /etc/dockyard/host.yaml.

    Raises SettingsError.
    """
    home = environ.get("HOME", "/root")
    named = environ.get("DOCKYARD_HOST")
    candidates = [named] if named else [f"{home}/.config/dockyard/host.yaml", "/etc/dockyard/host.yaml"]
    path = next((Path(name) for name in candidates if _is_there(name)), None)
    if named and not path:
        raise UsageError(f"{named}: no such file", hint="DOCKYARD_HOST names the host file; `d init` creates it")
    host_file = read_file(_text_of(path), str(path), Scope.HOST) if path else {}
    return HostLayers(environment_layer(environ), host_file)


def _is_there(path: str) -> bool:
    """Return whether a path exists; one that may not be looked at does not, such as root's home under sudo."""
    try:
        return Path(path).exists()
    except OSError:
        return False


def load(
    service: Service,
    mode: Mode,
    host: HostLayers,
    *,
    flags: Flags | None = None,
    file: str = "",
) -> Settings:
    """Return a service's settings in a mode; `file` names another file than settings.yaml.

    Raises SettingsError with everything that is wrong with file and flags, UsageError for a named file that is missing.
    """
    problems: list[Problem] = []
    layers: list[Layer] = []
    readers: list[Callable[[], Layer]] = [lambda: flag_layer(flags or {}), lambda: _service_layer(service, file)]
    for read in readers:
        try:
            layers.append(read())
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    named = Value(service.name, "the directory's name")
    return resolve(
        [*layers, _legacy_autostart(service), host.environment, host.host_file],
        mode,
        {NAME.name: named, IMAGE.name: named},
    )


def _service_layer(service: Service, file: str) -> Layer:
    path = settings_path(service, file)
    return read_file(_text_of(path), shown(path), Scope.SERVICE) if path else {}


def settings_path(service: Service, file: str = "") -> Path | None:
    """Return the path of a service's settings, if it has any; a named file is sought there, then here.

    Raises UsageError for a named file that is missing.
    """
    if not file:
        return service.file(SETTINGS_FILE)
    for path in (service.directory / file, Path(file)):
        if path.is_file():
            return path
    raise UsageError(f"{file}: no such settings file", hint=f"looked in {service.directory} and here")


def _legacy_autostart(service: Service) -> Layer:
    """Return what an `autostart` file says; an empty one means wave 5. Raises SettingsError."""
    path = service.file("autostart")
    if not path:
        return {}
    text = _text_of(path).strip() or "5"
    return {AUTOSTART.name: Value(_read(AUTOSTART, "autostart", Scalar(text, shown(path))), shown(path), "autostart")}


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError([Problem(shown(path), error.strerror or "cannot be read")]) from None
    except UnicodeDecodeError as error:
        raise SettingsError([Problem(shown(path), f"not UTF-8 at byte {error.start}", "save it as UTF-8")]) from None


def shown(path: Path) -> str:
    """Return the path as the user would write it from here."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # it was deleted under our feet
        return str(path)
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
