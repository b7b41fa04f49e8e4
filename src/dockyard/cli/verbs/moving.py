"""Verbs that import compose projects, and export compose files or quadlets."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockyard.cli.command import argument, flag, option
from dockyard.cli.output import Result
from dockyard.cli.verb import On, verb
from dockyard.errors import DockyardError, UsageError
from dockyard.yard import Yard

if TYPE_CHECKING:
    from dockyard.moving.importing import Import, NewService
    from dockyard.moving.launched import Launched
    from dockyard.moving.outcome import Command, Left


@verb(
    "import",
    report=True,
    settles=False,
    options=(
        argument("files", nargs="+", metavar="FILE"),
        option("--prefix", metavar="TEXT", help="prefix for the services' names, if their own names are in use"),
        option("--network", metavar="NAME", help="one network for all services, instead of the project's networks"),
        option(
            "--profile", metavar="NAME", action="append", default=[], help="also start the services of this profile"
        ),
        option("--wave", metavar="NUMBER", type=int, default=1, help="number of the first autostart wave (1)"),
        option("--secrets", metavar="DIR", help="write each secret to a file in DIR that only its owner may read"),
        option("--directory", metavar="DIR", help="directory for the new services (default: D_SRC_DIR)"),
        flag("-n", "--dry-run", help="show what would be written, and write nothing"),
    ),
)
def import_(yard: Yard, *, files: list[str], secrets: str, directory: str, dry_run: bool, **wanted: Any) -> Result:  # noqa: ANN401
    """Create services from a compose project, and report what could not be carried over.

    Several files are merged as with compose's `-f`: later ones override earlier ones. Never overwrites an existing
    service. See docs/how-to/move-from-compose.md.
    """
    import os

    from dockyard.moving.context import Wanted
    from dockyard.moving.importing import plan_import
    from dockyard.moving.reading import read_project
    from dockyard.moving.writing import refuse_existing, refuse_other_secrets, write_secrets, write_services
    from dockyard.plan.places import normal
    from dockyard.settings.keys import VOL_BASE

    place = Path(directory) if directory else _source_directory(yard)
    names = frozenset([*wanted.pop("profile"), *filter(None, os.environ.get("COMPOSE_PROFILES", "").split(","))])
    asked = Wanted(wanted["prefix"], wanted["network"], names, wanted["wave"])
    plan = plan_import(read_project(files, os.environ), asked, normal(yard.settings[VOL_BASE]))
    plan = plan._replace(commands=_needed(yard, plan.commands))
    refuse_existing(plan.services, place, [service.directory for service in yard.services])
    if secrets:
        refuse_other_secrets(plan.secrets, Path(secrets))
    if dry_run:
        return Result([*_contents(plan, place), *_told(plan, place, secrets)], _data(plan, place, contents=True))
    if secrets:
        write_secrets(plan.secrets, Path(secrets))
    write_services(plan.services, place)
    return Result(_told(plan, place, secrets), _data(plan, place, contents=False))


@verb(
    "export",
    on=On.SERVICE,
    report=True,
    settles=False,
    options=(
        argument("more", nargs="*", metavar="MORE"),
        option("--to", choices=("compose", "quadlet"), default="compose", help="format to write (compose)"),
        option(
            "--output",
            metavar="FILE|DIR",
            help="file or directory to write (default: stdout); quadlets need a directory",
        ),
    ),
)
def export(yard: Yard, name: str, *, more: list[str], to: str, output: str) -> Result:
    """Write the production launch of services as a compose file, or as quadlet units for podman.

    It is the launch that `d-run -t` shows. What the format cannot express is listed in comments at the beginning.
    Secrets are named, never written. Existing files are not overwritten.
    """
    from dockyard.moving.to_compose import compose_file
    from dockyard.moving.to_quadlet import quadlets
    from dockyard.service import select

    known = [service.name for service in yard.services]
    names = list(dict.fromkeys([name, *(select(other, known) for other in more)]))
    launches = [_launched(yard, each) for each in names]
    if to == "compose":
        text, left = compose_file(launches)
        files = {"compose.yaml": text}
    else:
        units, left = quadlets(launches)
        files = {unit.name: unit.text for unit in units}
    data = {"files": files, "left": left}
    if not output:
        headings = len(files) > 1
        return Result([line for path, text in files.items() for line in _shown(path, text, headings=headings)], data)
    place = Path(output)
    written = _write({place if to == "compose" else place / path: text for path, text in files.items()})
    return Result([f"{path}: written" for path in written] + left, data)


def _launched(yard: Yard, name: str) -> "Launched":
    from dockyard import launch
    from dockyard.moving.launched import launched
    from dockyard.plan.launch import LaunchOptions

    service = yard.named(name)
    options = LaunchOptions(directory=str(service.directory))
    return launched(launch.plan(yard, service, yard.load(service), options, replacing=True))


def _shown(path: str, text: str, *, headings: bool) -> list[str]:
    return [*([f"# {path}"] if headings else []), *text.splitlines(), *([""] if headings else [])]


def _write(files: dict[Path, str]) -> list[Path]:
    """Write new files. Raises UsageError if one exists."""
    there = [str(path) for path in files if path.exists()]
    if there:
        raise UsageError(f"{', '.join(there)}: exists already", hint="choose another path")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(files)


def _needed(yard: Yard, commands: "tuple[Command, ...]") -> "tuple[Command, ...]":
    """Return commands without those for networks that exist; all, if the engine does not answer."""
    networks = {command.network for command in commands if command.network}
    try:
        existing = yard.engine.networks(networks) if networks else {}
    except DockyardError:
        existing = {}
    return tuple(command for command in commands if command.network not in existing)


def _source_directory(yard: Yard) -> Path:
    if not yard.source_directories[0]:
        raise UsageError("the services directory is not set", hint="run `d init`, or name a directory with --directory")
    return Path(yard.source_directories[0])


def _told(plan: "Import", place: Path, secrets: str) -> list[str]:
    """Return the report: the services, what was left behind, and what to do before the first launch."""
    left = [line for one in plan.left for line in _left(one)]
    commands = list(dict.fromkeys(command.text for command in plan.commands))
    return [
        *(f"{place / service.name}: {_waves(service)}" for service in plan.services),
        *_under("left behind:", left),
        *_under("before the first launch, with the old containers stopped:", commands),
        *_under("secrets, which settings.yaml only names:", _secrets(plan, secrets)),
        *(f"note: {note}" for note in (*plan.project.notes, *_unset(plan))),
    ]


def _under(heading: str, lines: list[str]) -> list[str]:
    return ["", heading, *(f"  {line}" for line in lines)] if lines else []


def _waves(service: "NewService") -> str:
    return f"wave {service.wave}" if service.wave else "no autostart"


def _unset(plan: "Import") -> list[str]:
    return [f"`{name}` has no value: it becomes an empty string, as in compose" for name in plan.project.unset]


def _left(one: "Left") -> list[str]:
    hint = [f"  instead: {one.instead}"] if one.instead else []
    keys = list(dict.fromkeys(part.key for part in one.parts))
    named = keys[0] if len(keys) == 1 else f"{keys[0]} … {keys[-1]}"
    return [f"{one.parts[0].where}: {named}: {one.why}", *hint]


def _secrets(plan: "Import", directory: str) -> list[str]:
    where = [f"*{secret.name} (from {secret.where})" for secret in plan.secrets]
    kept = f"secret_command: cat {Path(directory).absolute()}/{{name}}" if directory else ""
    hint = (
        f"in the host file: {kept}"
        if kept
        else "store them where `secret_command` of the host file finds them, or use --secrets DIR"
    )
    return [*where, hint] if where else []


def _contents(plan: "Import", place: Path) -> list[str]:
    """Return each file that would be written."""
    lines: list[str] = []
    for service in plan.services:
        for path, file in service.files.items():
            shown = [f"  (from {file.source})"] if file.source else [f"  {line}" for line in file.text.splitlines()]
            lines += [f"{place / service.name / path}:", *shown, ""]
    return lines


def _data(plan: "Import", place: Path, *, contents: bool) -> dict[str, Any]:
    def file_data(path: str, source: Path | None, text: str) -> dict[str, str]:
        said = {"source": str(source)} if source else {"text": text} if contents else {}
        return {"path": path, **said}

    return {
        "project": plan.project.name,
        "services": [
            {
                "name": service.name,
                "directory": str(place / service.name),
                "wave": int(service.wave) if service.wave else None,
                "files": [file_data(path, file.source, file.text) for path, file in service.files.items()],
            }
            for service in plan.services
        ],
        "carried": [
            {"where": part.where, "key": part.key, "setting": one.key or None, "how": one.how or None}
            for one in plan.carried
            for part in one.parts
        ],
        "left": [
            {"where": part.where, "key": part.key, "why": one.why, "instead": one.instead or None}
            for one in plan.left
            for part in one.parts
        ],
        "commands": [{"command": command.text, "why": command.why} for command in plan.commands],
        "secrets": [{"name": secret.name, "where": secret.where} for secret in plan.secrets],
        "notes": [*plan.project.notes, *_unset(plan)],
    }
