"""Load flags, files and environment into one value for each key, with its source; report all errors together.

The first source that sets a key wins: flag, settings.yaml, environment, host file, default. Within a layer, `test_K`
and `dev_K` win over `K` in their modes. Everything in a file is checked, even if this mode does not use it.
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
"""Values of flags by key name: a list for the keys that take one, a bool for booleans, text for all others."""

SETTINGS_FILE = "settings.yaml"


@cache
def _spellings() -> dict[str, tuple[str, Key[Any]]]:
    """Return every name that a key may have in a file, with its canonical spelling and its key."""
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
    """Return the values in the text of a settings or host file; `name` is the file's name in error messages.

    Raises SettingsError with all errors of the file.
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
    """Return the canonical spelling and the key of a name in a file; raises SettingsError."""
    if node.text not in _spellings():
        hint = did_you_mean(node.text, _spellings()) or "list all keys with `d-run --explain`"
        raise SettingsError([Problem(node.where, f"unknown key `{node.text}`", hint)])
    spelling, key = _spellings()[node.text]
    if key.scope not in {Scope.ANYWHERE, scope}:
        file = "the host file" if key.scope is Scope.HOST else SETTINGS_FILE
        raise SettingsError([Problem(node.where, f"`{node.text}` is not allowed here", f"put it into {file}")])
    return spelling, key


def _refuse_two_meanings(before: Value[Any] | None, value: Value[Any], node: Scalar) -> None:
    if before and before.spelling == node.text:
        hint = f"remove one of them; the first is at {before.source}"
        raise SettingsError([Problem(node.where, f"duplicate key `{node.text}`", hint)])
    if before and before.value != value.value:
        message = f"`{node.text}` and `{before.spelling}` are the same key with different values"
        raise SettingsError([Problem(node.where, message, f"remove one of them; the other is at {before.source}")])


def _without_column(where: str) -> str:
    return where.rpartition(":")[0]


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """Return the values from the environment. Empty variables are ignored; a list is written `[a, b]`."""
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
    """Return the values of flags by key name. A list replaces the one in the file, it does not add to it."""
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
    """The layers that do not depend on the service: the environment and the host file."""

    environment: Layer
    host_file: Layer

    def settings(self) -> Settings:
        """Return the settings of the host without a service."""
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
        raise UsageError(f"{named}: no such file", hint="correct DOCKYARD_HOST, or create the file with `d init`")
    host_file = read_file(_text_of(path), str(path), Scope.HOST) if path else {}
    return HostLayers(environment_layer(environ), host_file)


def _is_there(path: str) -> bool:
    """Return whether a path exists and is accessible; root's home under sudo may not be."""
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

    Raises SettingsError with all errors in file and flags, UsageError if a named file is missing.
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
    """Return the path of a service's settings, if any; a named file is searched there, then in the current directory.

    Raises UsageError if a named file is missing.
    """
    if not file:
        return service.file(SETTINGS_FILE)
    for path in (service.directory / file, Path(file)):
        if path.is_file():
            return path
    hint = f"check the name; it was searched in {service.directory} and in the current directory"
    raise UsageError(f"{file}: no such settings file", hint=hint)


def _legacy_autostart(service: Service) -> Layer:
    """Return the wave of an `autostart` file; an empty file means wave 5. Raises SettingsError."""
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
    """Return the path relative to the current directory, if it is below it."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # the current directory was deleted
        return str(path)
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
