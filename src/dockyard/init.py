"""Setting up a host: its file, its directories, its networks; what is there already stays as it is."""

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dockyard import host_file
from dockyard.engine.engine import Engine, find_engine
from dockyard.errors import DockyardError, SettingsError, UsageError
from dockyard.settings.keys import ENGINE, SRC_DIR, SRC_DIR2, VOL_BASE
from dockyard.settings.resolve import Settings

DIRECTORIES = (SRC_DIR.name, SRC_DIR2.name, VOL_BASE.name)


class NetworkWanted(NamedTuple):
    """A required network; without a subnet the engine chooses one."""

    name: str
    subnet: str = ""


class Step(NamedTuple):
    """One thing to set up: `action` carries it out; None if it is already done."""

    what: str
    name: str
    state: str
    action: Callable[[], None] | None = None


class Outline(NamedTuple):
    """What setting up comes to: the file as it will be, the steps in order, and what the user should know besides."""

    path: Path
    text: str
    values: dict[str, str | None]
    steps: tuple[Step, ...]
    notes: tuple[str, ...]


def outline(
    path: Path, wanted: Mapping[str, str], networks: Sequence[NetworkWanted], environ: Mapping[str, str], *, force: bool
) -> Outline:
    """Return the steps, without changing anything. Raises DockyardError if something is not possible."""
    edit = host_file.edited(host_file.read(path), wanted, force=force)
    layers = host_file.layers(edit.text, path, environ)
    settings = layers.settings()
    if not settings[SRC_DIR]:
        raise UsageError("the services directory is not set", hint="d init --src-dir /srv/services")
    _check_networks(networks)
    engine = find_engine(settings[ENGINE]) if networks or wanted.get(ENGINE.name) else None
    steps = [
        *_file_steps(path, edit),
        *(_directory_step(key, str(settings.values[key].value)) for key in DIRECTORIES if settings.values[key].value),
        *(_network_step(engine, network) for network in networks if engine),
    ]
    values = {key: _written(settings, key) for key in (ENGINE.name, *DIRECTORIES, "network")}
    return Outline(path, edit.text, values, tuple(steps), (*_kept(edit, path), *_outdone(wanted, settings)))


def check_answer(key: str, value: str) -> None:
    """Raise DockyardError if a key of the host file cannot have a value."""
    try:
        host_file.edited("", {key: value}, force=False)
    except SettingsError as error:
        problem = error.problems[0]  # without its place: there is no file yet
        raise UsageError(problem.message, problem.hint) from None
    if key == ENGINE.name:
        find_engine(value)
    elif key in DIRECTORIES:
        _directory_step(key, value)


def carry_out(plan: Outline) -> None:
    """Do what is left to do. Raises DockyardError."""
    for step in plan.steps:
        if step.action:
            step.action()


def _written(settings: Settings, key: str) -> str | None:
    value = settings.values[key].value
    return None if value is None else str(value)


def _file_steps(path: Path, edit: host_file.Edit) -> list[Step]:
    changed = [*edit.added, *edit.replaced]
    if not changed:
        return [Step("file", str(path), "unchanged")] if path.exists() else []
    state = f"{'changed' if path.exists() else 'created'}: {', '.join(changed)}"
    return [Step("file", str(path), state, lambda: host_file.write(path, edit.text))]


def _kept(edit: host_file.Edit, path: Path) -> list[str]:
    return [f"{path}: `{key}` already has another value; use --force to replace it" for key in edit.kept]


def _outdone(wanted: Mapping[str, str], settings: Settings) -> list[str]:
    """Return notes on environment variables that override the file."""
    stronger = {key: settings.values[key] for key in wanted if settings.values.get(key)}
    return [
        f"{value.source} sets `{value.value}`, which overrides `{key}` of the file"
        for key, value in stronger.items()
        if value.source.startswith("env ") and str(value.value) != wanted[key]
    ]


def _directory_step(key: str, name: str) -> Step:
    """Return the step for a directory. Raises UsageError if something else is in its place."""
    path = Path(name)
    if path.is_dir():
        return Step("directory", str(path), "exists already")
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path}: not a directory", hint=f"choose another path for {key}")
    return Step("directory", str(path), "created", lambda: _make_directory(path))


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise DockyardError(f"{error.filename}: {error.strerror}", hint="run as root, or choose another path") from None


def _check_networks(networks: Sequence[NetworkWanted]) -> None:
    """Raise UsageError for subnets that are none, or meet each other, and for tests on production's network."""
    names = [network.name for network in networks]
    if len(set(names)) < len(names):
        raise UsageError(
            f"`{names[0]}` is the network of both production and tests", hint="give the tests another network"
        )
    subnets = [_subnet(network) for network in networks if network.subnet]
    if len(subnets) > 1 and subnets[0].overlaps(subnets[1]):
        raise UsageError(f"{subnets[0]} and {subnets[1]} overlap", hint="give each network different addresses")


def _subnet(network: NetworkWanted) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(network.subnet)
    except ValueError as error:
        raise UsageError(f"`{network.subnet}` is not a subnet: {error}", hint="write it as 172.20.0.0/16") from None


def _network_step(engine: Engine, network: NetworkWanted) -> Step:
    """Return the step for a network. Raises UsageError if it is there with other addresses."""
    found = engine.network(network.name)
    if not found:
        subnet = ("--subnet", network.subnet) if network.subnet else ()
        argv = ("network", "create", *subnet, network.name)
        shown = f" with {network.subnet}" if network.subnet else ""
        return Step("network", network.name, f"created{shown}", lambda: _call(engine, argv))
    if network.subnet and network.subnet not in found.subnets:
        there = ", ".join(found.subnets) or "no subnet"
        raise UsageError(
            f"network `{network.name}` exists with {there}, not {network.subnet}", hint="choose another name"
        )
    return Step("network", network.name, "exists already")


def _call(engine: Engine, argv: tuple[str, ...]) -> None:
    engine.call(*argv)
