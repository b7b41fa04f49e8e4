"""Mapping the users of containers to ids that are nobody's on the host."""

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
        option("--user", help="whose subordinate ids containers get (dockremap)", default="dockremap"),
        option("--start", help="the first of them, in place of the first that are free", type=int, default=None),
        option(
            "--config", metavar="FILE", help="the engine's configuration, in place of the one that it was started with"
        ),
        flag("--restart", help="restart the engine, which ends all containers; what fails is taken back"),
        flag("-n", "--dry-run", help="show what would change, and change nothing"),
    ),
)
def userns(yard: Yard, action: str, what: str, **options: Any) -> Result:  # noqa: ANN401 - the options above
    """Map users of containers to ids of nobody on the host: `status`, `enable`, `disable`, `map NAME|UID`.

    `status` tells whether the engine maps users, and what is wrong with it. `enable` makes the user, the ranges of ids
    and the names that this takes, and has the engine's daemon.json ask for it; `disable` undoes exactly that. `map`
    translates a user's name, an id inside or an id of the host.

    While users are mapped, the engine has none of the images, containers and volumes from before; they come back with
    `disable`. See docs/how-to/map-users.md.
    """
    if action not in ACTIONS:
        raise UsageError(f"no action `{action}`", did_you_mean(action, ACTIONS) or f"there is {', '.join(ACTIONS)}")
    if bool(what) != (action == "map"):
        raise UsageError(
            *(("nothing to map", "d userns map NAME|UID") if action == "map" else (f"not expected: `{what}`", ""))
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
    """Return a dry run: the files' differences, then the commands, with what it means as their comments."""
    diffs = [line for change in outline.changes for line in change.diff.splitlines()]
    notes = [f"# {note}" for note in outline.notes]
    if not diffs and not outline.commands:
        notes.append("# nothing to do")
    then = ["# then, by you or by --restart:", *outline.commands] if outline.commands else []
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
    return "made" if before is None else "removed" if after is None else "changed"
