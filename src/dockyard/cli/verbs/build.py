"""Verbs that build, test, upgrade and roll back one service."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from dockyard.cli.command import flag, option
from dockyard.cli.output import Result, say, table
from dockyard.cli.verb import On, verb
from dockyard.cli.verbs.updates import OFFLINE, REFRESH, ask_upstream
from dockyard.yard import Yard

if TYPE_CHECKING:
    from dockyard.upgrade import Wanted

FORCE = flag("-f", "--force", help="build even if nothing has changed, and without the engine's build cache")
TIMEOUT = option(
    "--timeout",
    metavar="SECONDS",
    type=float,
    default=None,
    help="time limit for the build, the Test and becoming healthy",
)


@verb("build", "b", on=On.SERVICE, options=(FORCE, TIMEOUT), settles=False)
def build(yard: Yard, name: str, *, force: bool, timeout: float | None) -> Result:
    """Build the image and tag it `latest`, if its source has changed."""
    from dockyard.build import builder_for
    from dockyard.upgrade import Wanted, built, refuse_errors

    refuse_errors(yard, yard.named(name))
    builder = builder_for(yard, yard.named(name))
    made = built(yard, builder, Wanted(force, timeout))
    return Result([f"{builder.name.tagged('latest')} is {made.image[:12]}"])


@verb("test", "t", on=On.SERVICE, options=(TIMEOUT,), settles=False)
def test(yard: Yard, name: str, *, timeout: float | None) -> Result:
    """Run the Test on the latest image, in a separate instance."""
    from dockyard.build import builder_for, latest_id
    from dockyard.upgrade import Wanted, tested

    builder = builder_for(yard, yard.named(name))
    image = latest_id(builder)
    passed = tested(builder, image, Wanted(timeout=timeout))
    return Result([f"{name}: {image[:12]} {'passed' if passed else 'was not tested'}"])


@verb(
    "upgrade",
    "u",
    on=On.SERVICE,
    report=True,
    locks=True,
    options=(
        flag(
            "-f",
            "--force",
            help="build without the engine's cache, and retry a failed image; an equal image is not switched to",
        ),
        TIMEOUT,
        flag("-n", "--dry-run", help="show the commands, in order, and change nothing"),
        flag("--exit-code", help="with --dry-run: exit code 1 if anything would change"),
        OFFLINE,
        REFRESH,
    ),
)
def upgrade(  # noqa: PLR0913 - the options above
    yard: Yard,
    name: str,
    *,
    force: bool,
    timeout: float | None,
    dry_run: bool,
    exit_code: bool,
    offline: bool,
    refresh: bool,
) -> Result:
    """Build, test, and switch: replace the container if it is up or has autostart. Stops at the first failure.

    Production does not change until all tests have passed. The new container is created while the old one still runs.
    If it does not stay up, become healthy or pass ./Test-prod, the upgrade is rolled back: the old container runs
    again, and `live` and `prev` are unchanged. An image that failed or was rolled back is not retried until its source
    changes, and a service that is held is not upgraded, unless with --force. Newer base images are used as far as
    `updates` in the service's settings allows.
    """
    from dockyard.lock import held
    from dockyard.plan.launch import container_name
    from dockyard.updates.settling import settle_tags
    from dockyard.upgrade import Wanted, each
    from dockyard.upgrade import upgrade as carry_out

    upstream = ask_upstream(yard, [name], offline=offline, refresh=refresh)
    wanted = Wanted(force, timeout, is_explicit=True, updates=upstream.applicable, rebuilds=upstream.to_rebuild)
    if dry_run:
        return _outline(yard, name, wanted, exit_code=exit_code)
    service = yard.named(name)
    with held(yard.engine, container_name(yard.load(service)), yard.wait) as tell:
        report = carry_out(yard, service, wanted, each(tell, _say_of(name)))
    settle_tags(yard)
    return Result([report.text, *report.notes], report._asdict())


def _say_of(name: str) -> Callable[[str], None]:
    return lambda doing: say(f"{name}: {doing}")


def _outline(yard: Yard, name: str, wanted: "Wanted", *, exit_code: bool) -> Result:
    from dockyard.upgrade import outline

    found = outline(yard, yard.named(name), wanted)
    for reason in found.reasons:
        say(f"{name}: {reason}")
    return Result(found.shown(name), found.row(name), 1 if exit_code and found.lines else 0)


TO = option("--to", metavar="VERSION", help="roll back to this version: a prefix of an id from `d history X --images`")


@verb("rollback", on=On.SERVICE, report=True, locks=True, options=(TO, TIMEOUT))
def rollback(yard: Yard, name: str, *, to: str, timeout: float | None) -> Result:
    """Roll back to the previous image, and replace the container if production is up.

    The version that was rolled back is not deployed again until its source or its base image changes, or with
    `d upgrade --force`. A second rollback undoes the first. A service that is held can be rolled back, and stays held.
    """
    from dockyard.lock import held
    from dockyard.plan.launch import container_name
    from dockyard.rollback import rollback as carry_out
    from dockyard.upgrade import Wanted, each

    service = yard.named(name)
    with held(yard.engine, container_name(yard.load(service)), yard.wait) as tell:
        report = carry_out(yard, service, Wanted(timeout=timeout), each(tell, _say_of(name)), to)
    return Result([report.text, *report.notes], report._asdict())


@verb(
    "hold",
    on=On.SERVICE,
    settles=False,
    options=(
        option(
            "--until", metavar="DATE", help="release it automatically on this date, such as 2027-03-31 (default: never)"
        ),
        option("--reason", metavar="TEXT", help="the reason, shown with the hold"),
    ),
)
def hold(_yard: Yard, name: str, *, until: str, reason: str) -> Result:
    """Hold a service at its current version: no automatic upgrade until it is released.

    `d upgrade-all` skips it, even with --force, and `d upgrade` refuses it without --force. Start, stop, restart and
    rollback work as usual.
    """
    from dockyard import history, holds

    wanted = holds.hold(name, until, reason)
    history.record(name, "hold", "ok", reason=str(wanted))
    return Result([f"{name} is {wanted}"])


@verb("unhold", on=On.SERVICE, settles=False)
def unhold(_yard: Yard, name: str) -> Result:
    """Release a held service, so that it is upgraded again."""
    from dockyard import history, holds

    if not holds.unhold(name):
        return Result([f"{name} is not held"])
    history.record(name, "unhold", "ok")
    return Result([f"{name} is released: the next `d upgrade-all` upgrades it"])


@verb("holds", report=True, settles=False)
def holds(_yard: Yard) -> Result:
    """List the held services, until when and why."""
    from dockyard.holds import all_holds

    rows = [one._asdict() for one in all_holds().values()]
    return table(rows, ("service", "until", "reason", "user", "since"))
