"""From source to production."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from dockyard.cli.command import flag, option
from dockyard.cli.output import Result, say, table
from dockyard.cli.verb import On, verb
from dockyard.cli.verbs.updates import OFFLINE, REFRESH, ask_upstream
from dockyard.yard import Yard

if TYPE_CHECKING:
    from dockyard.upgrade import Wanted

FORCE = flag("-f", "--force", help="even if nothing has changed, and without the engine's build cache")
TIMEOUT = option(
    "--timeout",
    metavar="SECONDS",
    type=float,
    default=None,
    help="most time for a build, for a Test, and until a new container is healthy",
)


@verb("build", "b", on=On.SERVICE, options=(FORCE, TIMEOUT), settles=False)
def build(yard: Yard, name: str, *, force: bool, timeout: float | None) -> Result:
    """Build the image, as `latest`, if its source has changed."""
    from dockyard.build import builder_for
    from dockyard.upgrade import Wanted, built, refuse_errors

    refuse_errors(yard, yard.named(name))
    builder = builder_for(yard, yard.named(name))
    made = built(yard, builder, Wanted(force, timeout))
    return Result([f"{builder.name.tagged('latest')} is {made.image[:12]}"])


@verb("test", "t", on=On.SERVICE, options=(TIMEOUT,), settles=False)
def test(yard: Yard, name: str, *, timeout: float | None) -> Result:
    """Test the latest image, in an instance of its own."""
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
            help="build without the engine's cache, and retry what failed; what comes out equal is not switched to",
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
    """Build, test, and switch: replace the container if it is up or starts by itself. Stops at the first failure.

    Until all tests have passed nothing of production changes. The new container is made while the old one still runs;
    if it does not stay up, get healthy or pass ./Test-prod, the old one comes back, and `live` and `prev` are what they
    were. What failed so is not tried again until its source changes; nor is what was rolled back, nor is a service that
    is held upgraded, unless with --force. Newer base images are taken as far as `updates` in its settings allows.
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


TO = option("--to", metavar="VERSION", help="the beginning of a version's id, from `d history X --images`")


@verb("rollback", on=On.SERVICE, report=True, locks=True, options=(TO, TIMEOUT))
def rollback(yard: Yard, name: str, *, to: str, timeout: float | None) -> Result:
    """Put the previous image back, and a container of it in production's place if production is up.

    What was rolled back is not upgraded to again until its source or its base image changes, or with `d upgrade
    --force`. A second rollback undoes the first. A service that is held can be rolled back, and stays held.
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
        option("--until", metavar="DATE", help="release it on that date by itself, such as 2027-03-31; default: never"),
        option("--reason", metavar="TEXT", help="shown wherever the hold is"),
    ),
)
def hold(_yard: Yard, name: str, *, until: str, reason: str) -> Result:
    """Keep a service at the version that it runs: nothing automatic upgrades it until it is released.

    `d upgrade-all` leaves it out, also with --force, and `d upgrade` refuses it without --force. Start, stop, restart
    and rollback work as ever.
    """
    from dockyard import history, holds

    wanted = holds.hold(name, until, reason)
    history.record(name, "hold", "ok", reason=str(wanted))
    return Result([f"{name} is {wanted}"])


@verb("unhold", on=On.SERVICE, settles=False)
def unhold(_yard: Yard, name: str) -> Result:
    """Release a service that is held."""
    from dockyard import history, holds

    if not holds.unhold(name):
        return Result([f"{name} is not held"])
    history.record(name, "unhold", "ok")
    return Result([f"{name} is released: the next upgrade upgrades it"])


@verb("holds", report=True, settles=False)
def holds(_yard: Yard) -> Result:
    """List the services that are held, until when and why."""
    from dockyard.holds import all_holds

    rows = [one._asdict() for one in all_holds().values()]
    return table(rows, ("service", "until", "reason", "user", "since"))
