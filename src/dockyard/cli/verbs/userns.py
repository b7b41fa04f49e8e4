"""The verb for user-namespace remapping."""

from typing import TYPE_CHECKING, Any

from dockyard.cli.command import argument, flag, option
from dockyard.cli.output import Result, say
from dockyard.cli.verb import verb
from dockyard.errors import ENGINE_UNREACHABLE, WORK_FAILED, UsageError
from dockyard.text import did_you_mean
from dockyard.yard import Yard

if TYPE_CHECKING:
    from dockyard.userns.outline import Outline, Wanted

ACTIONS = ("status", "enable", "disable", "map")


@verb(
    "userns",
    report=True,
    settles=False,
    options=(
        argument("action", nargs="?", default="status", metavar="ACTION"),
        argument("what", nargs="?", default="", metavar="NAME|UID"),
        option("--user", help="the user whose subordinate ids containers get (dockremap)", default="dockremap"),
        option("--start", help="the first subordinate id (default: the first free range)", type=int, default=None),
        option(
            "--config",
            metavar="FILE",
            help="the engine's configuration file (default: the one that it was started with)",
        ),
        flag("--restart", help="restart the engine, which stops all containers; a failed restart is rolled back"),
        flag("-n", "--dry-run", help="show what would change, and change nothing"),
    ),
)
def userns(yard: Yard, action: str, what: str, **options: Any) -> Result:  # noqa: ANN401 - the options above
    """Manage user-namespace remapping: `status`, `enable`, `disable`, `map NAME|UID`.

    `status` shows whether the engine maps users, and any problems with it. `enable` creates the required user, id
    ranges and names, and sets the mapping in the engine's daemon.json; `disable` undoes exactly that. `map` translates
    a user's name, an id in the container or an id on the host.

    While users are mapped, earlier images, containers and volumes are invisible to the engine; they reappear after
    `disable`. See docs/how-to/map-users.md.
    """
    if action not in ACTIONS:
        raise UsageError(
            f"there is no action `{action}`", did_you_mean(action, ACTIONS) or f"choose one of {', '.join(ACTIONS)}"
        )
    if bool(what) != (action == "map"):
        raise UsageError(
            *(
                ("the name or id to map is missing", "d userns map NAME|UID")
                if action == "map"
                else (f"unexpected argument: `{what}`", "")
            )
        )
    if action == "map":
        return _map(yard, what)
    if action == "status":
        return _status(yard, options["config"])
    return _change(yard, action, **options)


def _status(yard: Yard, config: str) -> Result:
    from dockyard.userns.status import status

    found = status(yard.engine, config)
    exit_code = ENGINE_UNREACHABLE if found.ids is None else WORK_FAILED if found.problems else 0
    return Result(found.lines(), found.data, exit_code)


def _map(yard: Yard, what: str) -> Result:
    from dockyard.plan.translation import translations
    from dockyard.userns.files import read
    from dockyard.userns.outline import ETC, accounts_of

    host = {name: read(f"{ETC}/{name}") or "" for name in ("passwd", "group")}
    rows = translations(what, yard.engine.host_id_map, accounts_of(yard.services), host)
    return Result([row.line for row in rows], [row._asdict() for row in rows])


def _change(yard: Yard, action: str, *, dry_run: bool, **options: Any) -> Result:  # noqa: ANN401
    from dockyard.userns import disabling, enabling
    from dockyard.userns.outline import Wanted

    wanted = Wanted(**options)
    if action == "enable":
        outline = enabling.outline_enabling(yard.engine, yard.services, wanted)
    else:
        outline = disabling.outline_disabling(yard.engine, wanted)
    if dry_run:
        return _shown(outline)
    for note in outline.notes:
        say(f"note: {note}")
    if action == "enable":
        return _done(enabling.enable(yard.engine, yard.services, wanted, say), wanted, action)
    return _done(disabling.disable(yard.engine, wanted, say), wanted, action)


def _data(outline: "Outline") -> dict[str, Any]:
    changes = [{"path": change.path, "diff": change.diff} for change in outline.changes]
    return {"changes": changes, "commands": outline.commands, "notes": outline.notes, "start": outline.start}


def _shown(outline: "Outline") -> Result:
    """Return a dry run: the diffs of the files, then the commands, with notes as comments."""
    diffs = [line for change in outline.changes for line in change.diff.splitlines()]
    notes = [f"# {note}" for note in outline.notes]
    if not diffs and not outline.commands:
        notes.append("# nothing to do")
    then = ["# then run this, or use --restart:", *outline.commands] if outline.commands else []
    return Result([*notes, *diffs, *then], {**_data(outline), "done": False})


def _done(outline: "Outline", wanted: "Wanted", action: str) -> Result:
    lines = [f"{change.path}: {_verb(change.before, change.after)}" for change in outline.changes]
    restarted = outline.pending and wanted.restart and outline.daemon is not None
    if restarted or not outline.pending:
        maps = outline.start is not None
        lines.append(
            f"the engine maps users: root in containers is {outline.start}" if maps else "the engine maps no users"
        )
    else:
        will = "maps users" if action == "enable" else "maps no users"
        lines.append(f"the engine {will} once it has been restarted: `d userns {action} --restart`, or")
        lines += [f"  {command}" for command in outline.commands]
    pending = [] if restarted else outline.commands
    return Result(lines, {**_data(outline), "commands": pending, "done": True, "restarted": restarted})


def _verb(before: str | None, after: str | None) -> str:
    return "created" if before is None else "removed" if after is None else "changed"
