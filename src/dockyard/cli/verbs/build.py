"""From source to production."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from dockyard.cli.command import flag, option
from dockyard.cli.output import Result, say
from dockyard.cli.verb import On, verb
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
    ),
)
def upgrade(  # noqa: PLR0913 - the options above
    yard: Yard, name: str, *, force: bool, timeout: float | None, dry_run: bool, exit_code: bool
) -> Result:
    """Build, test, and switch: replace the container if it is up or starts by itself. Stops at the first failure.

    Until all tests have passed nothing of production changes. The new container is made while the old one still runs;
    if it does not stay up, get healthy or pass ./Test-prod, the old one comes back, and `live` and `prev` are what they
    were. What failed so is not tried again until its source changes.
    """
    from dockyard.lock import held
    from dockyard.plan.launch import container_name
    from dockyard.upgrade import Wanted, each
    from dockyard.upgrade import upgrade as carry_out

    wanted = Wanted(force, timeout)
    if dry_run:
        return _outline(yard, name, wanted, exit_code=exit_code)
    service = yard.named(name)
    with held(yard.engine, container_name(yard.load(service)), yard.wait) as tell:
        report = carry_out(yard, service, wanted, each(tell, _say_of(name)))
    return Result([report.text], report._asdict())


def _say_of(name: str) -> Callable[[str], None]:
    return lambda doing: say(f"{name}: {doing}")


def _outline(yard: Yard, name: str, wanted: "Wanted", *, exit_code: bool) -> Result:
    from dockyard.upgrade import outline

    found = outline(yard, yard.named(name), wanted)
    for reason in found.reasons:
        say(f"{name}: {reason}")
    lines = found.lines or (f"# {name} is up to date",)
    data = {"service": name, "commands": found.lines, "reasons": found.reasons}
    return Result(lines, data, 1 if exit_code and found.lines else 0)


@verb("rollback", on=On.SERVICE, report=True, locks=True, options=(TIMEOUT,))
def rollback(yard: Yard, name: str, *, timeout: float | None) -> Result:
    """Put the previous image back, and a container of it in production's place if production is up."""
    from dockyard.lock import held
    from dockyard.plan.launch import container_name
    from dockyard.upgrade import Wanted, each
    from dockyard.upgrade import rollback as carry_out

    service = yard.named(name)
    with held(yard.engine, container_name(yard.load(service)), yard.wait) as tell:
        report = carry_out(yard, service, Wanted(timeout=timeout), each(tell, _say_of(name)))
    return Result([report.text], report._asdict())
