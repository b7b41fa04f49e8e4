"""Verbs for all services, in waves."""

import os
import shlex
import time
from typing import TYPE_CHECKING, Any

from dockyard.cli.command import REST, argument, flag, option
from dockyard.cli.output import Result, say, warn
from dockyard.cli.verb import verb
from dockyard.cli.verbs.lists import tell_notices
from dockyard.cli.verbs.updates import OFFLINE, REFRESH, ask_upstream, row_of
from dockyard.errors import WRONG_USAGE, UsageError
from dockyard.yard import Yard

if TYPE_CHECKING:
    from collections.abc import Callable

    from dockyard.fleet.crew import Done, Watcher
    from dockyard.fleet.starting import How
    from dockyard.updates.collecting import Rebuild, Upstream
    from dockyard.updates.pending import Pending
    from dockyard.upgrade import Wanted

JOBS = 16  # containers that are started concurrently: more are not faster (docs/decisions/fleet.md)

COMMON = (
    option("-j", "--jobs", metavar="N", type=int, default=0, help="number of services to work on concurrently"),
    option("--timeout", metavar="SECONDS", type=float, default=None, help="time limit for each service"),
    flag("-q", "--quiet", help="print failures only"),
    flag("--notify", help="send each new failure, and its end, to the `notify` addresses of the host file"),
)
FORCE = flag("-f", "--force", help="build even if nothing has changed")
DRY_RUN = flag("-n", "--dry-run", help="show the commands, in order, and change nothing")


def _run(
    yard: Yard, given: dict[str, Any], jobs: int, work: "Callable[[Watcher, How], list[Done]]", title: str
) -> Result:
    """Work on all services, show the progress, and return the summary."""
    from dockyard.cli.progress import summary, watching
    from dockyard.fleet.starting import How

    if given["jobs"] < 0:
        raise UsageError("--jobs must be above 0", hint="leave it out for the default")
    _ = yard.engine.changes_at_once  # asked here, once for all worker processes
    with watching(quiet=given["quiet"]) as watcher:
        finished = work(watcher, How(given["jobs"] or jobs, given["timeout"]))
    result = summary(finished, quiet=given["quiet"])
    if given["notify"]:
        from dockyard.monitoring.monitor import notify_of_run

        notify_of_run(yard, title, finished)
    return result


def _processors() -> int:
    return os.cpu_count() or 1


def _tell_of_others(yard: Yard) -> None:
    """Report running containers that belong to no service: they are not touched."""
    names = {service.name for service in yard.services}
    others = [row.name for row in yard.rows if row.is_up and row.service not in names]
    if others:
        say(f"not touched, as they belong to no service: {', '.join(others)}")


def _report_orphans(yard: Yard) -> None:
    """Warn of containers whose service no longer exists: they keep running, and are never upgraded."""
    from dockyard.orphans import list_orphans

    for orphan in list_orphans(yard):
        warn(f"{orphan}\n  hint: {orphan.hint}")


@verb("build-all", "ba", report=True, settles=False, options=(FORCE, *COMMON))
def build_all(yard: Yard, *, force: bool, **given: Any) -> Result:  # noqa: ANN401 - the options above
    """Build all services whose source has changed, base images before the services that use them in FROM."""
    from dockyard.fleet.upgrading import build_all as work
    from dockyard.upgrade import Wanted

    return _run(yard, given, _processors(), lambda watcher, how: work(yard, watcher, how, Wanted(force)), "build-all")


@verb("test-all", "ta", report=True, settles=False, options=COMMON)
def test_all(yard: Yard, **given: Any) -> Result:  # noqa: ANN401
    """Test the latest image of every service that has a Test."""
    from dockyard.fleet.upgrading import test_all as work
    from dockyard.upgrade import Wanted

    return _run(yard, given, _processors(), lambda watcher, how: work(yard, watcher, how, Wanted()), "test-all")


@verb(
    "upgrade-all",
    "ua",
    report=True,
    locks=True,
    options=(
        FORCE,
        flag("-n", "--dry-run", help="show what would happen to each service, and change nothing"),
        flag("--exit-code", help="with --dry-run: exit code 1 if anything would change"),
        flag("--all-or-nothing", help="roll back all services if the switch of one fails"),
        OFFLINE,
        REFRESH,
        *COMMON,
    ),
)
def upgrade_all(  # noqa: PLR0913 - the options above
    yard: Yard,
    *,
    force: bool,
    dry_run: bool,
    exit_code: bool,
    all_or_nothing: bool,
    offline: bool,
    refresh: bool,
    **given: Any,  # noqa: ANN401
) -> Result:
    """Build and test all services, with newer base images as far as `updates` allows; then switch, wave by wave.

    A service that fails is left unchanged.
    """
    from dockyard.fleet.upgrading import upgrade_all as work
    from dockyard.monitoring.updates import save_last_run
    from dockyard.updates.settling import settle_tags
    from dockyard.upgrade import Wanted

    _report_orphans(yard)
    upstream = ask_upstream(yard, [service.name for service in yard.services], offline=offline, refresh=refresh)
    wanted = Wanted(force, updates=upstream.applicable, rebuilds=upstream.to_rebuild)
    if dry_run:
        return _outlined(yard, wanted, upstream, exit_code=exit_code)

    def upgraded(watcher: "Watcher", how: "How") -> "list[Done]":
        finished = work(yard, watcher, how, wanted, all_or_nothing=all_or_nothing)
        settle_tags(yard)
        save_last_run(finished, time.time())
        return finished

    return _run(yard, given, _processors(), upgraded, "upgrade-all")


def _outlined(yard: Yard, wanted: "Wanted", upstream: "Upstream", *, exit_code: bool) -> Result:
    from dockyard.fleet.order import build_order
    from dockyard.upgrade import outline

    settings, _ = yard.load_all()
    groups, _ = build_order(yard, settings)
    found = [(name, outline(yard, yard.named(name), wanted)) for group in groups for name in group]
    lines = [
        line
        for name, one in found
        for line in (*([f"# {name}: {', '.join(one.reasons)}"] if one.lines else []), *one.shown(name))
    ]
    newer = [*map(_newer_line, upstream.pending), *map(_rebuild_line, upstream.rebuilds)]
    data = [
        {**one.row(name), "updates": [row_of(update) for update in upstream.pending if update.base.service == name]}
        for name, one in found
    ]
    changes = any(one.lines for _, one in found) or bool(upstream.applicable)
    return Result([*newer, *lines], data, 1 if exit_code and changes else 0)


def _newer_line(update: "Pending") -> str:
    """Return what a run would do about a newer version, and why."""
    name, why = update.base.service, "; ".join(one.text for one in update.blockers)
    how = "commits it" if update.is_edit else "builds on it"
    return f"# {name}: {update.summary}: {f'not now: {why}' if why else f'tries it, and {how} if the Test passes'}"


def _rebuild_line(rebuild: "Rebuild") -> str:
    why = "; ".join(one.text for one in rebuild.blockers)
    what = f"not now: {why}" if why else "builds without the cache; switches if the image differs and passes its Test"
    return f"# {rebuild.service}: packages: {what}"


@verb("up-all", "11", "1a", report=True, locks=True, options=COMMON)
def up_all(yard: Yard, **given: Any) -> Result:  # noqa: ANN401
    """Start all autostart services; each wave waits until the previous one is up and healthy."""
    from dockyard.fleet.starting import up_all as work

    return _run(yard, given, JOBS, lambda watcher, how: work(yard, watcher, how), "up-all")


@verb("down-all", "00", "0a", report=True, locks=True, options=(DRY_RUN, *COMMON))
def down_all(yard: Yard, *, dry_run: bool, **given: Any) -> Result:  # noqa: ANN401
    """Stop all running services, the last wave first."""
    from dockyard.fleet.starting import down_all as work
    from dockyard.fleet.starting import stopping_order

    _tell_of_others(yard)
    if dry_run:
        groups = [[row.name for row in members.values()] for members in stopping_order(yard)]
        return Result([shlex.join((yard.engine.program, "stop", name)) for names in groups for name in names], groups)
    return _run(yard, given, JOBS, lambda watcher, how: work(yard, watcher, how), "down-all")


@verb("restart-all", "01a", "ra", report=True, locks=True, options=(DRY_RUN, *COMMON))
def restart_all(yard: Yard, *, dry_run: bool, **given: Any) -> Result:  # noqa: ANN401
    """Recreate the containers of all running services, wave by wave."""
    from dockyard.fleet.starting import restart_all as work

    _tell_of_others(yard)
    if dry_run:
        return _outlined_restarts(yard)
    return _run(yard, given, _processors(), lambda watcher, how: work(yard, watcher, how), "restart-all")


def _outlined_restarts(yard: Yard) -> Result:
    from dockyard.fleet.starting import restart_order
    from dockyard.replace import replacement

    settings, problems = yard.load_all()
    names = [name for members in restart_order(yard, settings) for name in members]
    plans = {name: replacement(yard, yard.named(name), "restart", say).plan for name in names}
    commands = {name: [step.shell(yard.engine.program) for step in plan.steps] for name, plan in plans.items()}
    lines = [line for name, steps in commands.items() for line in (f"# {name}:", *steps)]
    wrong = [f"# {problem.where}: {problem.message}" for problem in problems]
    data = [{"service": name, "commands": steps} for name, steps in commands.items()]
    return Result([*wrong, *lines], data, WRONG_USAGE if problems else 0)


@verb("run-in-all", "ria", report=True, options=(*COMMON, argument("command", nargs=REST)))
def run_in_all(yard: Yard, *, command: list[str], **given: Any) -> Result:  # noqa: ANN401
    """Run a command as root in every running service."""
    from dockyard.fleet.starting import run_in_all as work

    if not command:
        raise UsageError("the command is missing", hint="d run-in-all COMMAND…")
    _tell_of_others(yard)
    finished: list[Done] = []

    def kept(watcher: "Watcher", how: "How") -> "list[Done]":
        finished.extend(work(yard, watcher, how, command))
        return finished

    result = _run(yard, given, JOBS, kept, "run-in-all")
    output = [f"{done.name} | {line}" for done in finished for line in done.output.splitlines()]
    data = {"services": [{**done.row, "output": done.output} for done in finished]}
    return result._replace(lines=[*output, *result.lines], data=data)


@verb(
    "check-all-up",
    "ca",
    report=True,
    options=(flag("--notify", help="send each change to the `notify` addresses of the host file, once"),),
)
def check_all_up(yard: Yard, *, notify: bool) -> Result:
    """Report problems on this host; `all ok` if there are none.

    Problems are: services that should be up and healthy but are not, failed and held updates, orphans, unexpected
    changes in containers, file systems that are nearly full, timers that do not run, images older than `max_age`.
    """
    from dockyard.errors import WORK_FAILED
    from dockyard.monitoring.gather import gather
    from dockyard.monitoring.monitor import notify_of_host
    from dockyard.monitoring.problems import find_problems
    from dockyard.notify import INFO

    tell_notices(yard)
    facts, now = gather(yard), time.time()
    found = find_problems(facts, now).problems
    delivered = not notify or notify_of_host(yard.settings, facts, now)
    is_wrong = not delivered or any(problem.severity != INFO for problem in found)
    lines = [problem.line() for problem in found] or ["all ok"]
    return Result(lines, [problem.row() for problem in found], WORK_FAILED if is_wrong else 0)
