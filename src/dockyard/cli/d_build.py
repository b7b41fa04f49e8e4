"""d-build: source → image → tested → live."""

import argparse
import shlex

from dockyard import history
from dockyard.build import Builder, builder_for, latest_id
from dockyard.cli.command import VERSION, flag, option
from dockyard.cli.main import program
from dockyard.cli.making import promoted, tested_id
from dockyard.cli.output import Result, warn
from dockyard.cli.parser import Parser
from dockyard.errors import UsageError
from dockyard.image_changes import note_changes
from dockyard.plan.build import LATEST, LIVE, PREVIOUS, UNTRIMMED, Promotion
from dockyard.rollback import lasts, roll_back_tags
from dockyard.settings.keys import TRIM
from dockyard.share import MAKEFILE
from dockyard.upgrade import Made, Wanted, built, built_whole, remembered, trimmed
from dockyard.vulnerabilities.gate import scan_candidate
from dockyard.yard import Yard

OPTIONS = (
    flag("-t", "--test", help="build, then run the Test"),
    flag("-s", "--setlive", help="promote the latest image to `live`, without building"),
    flag("-a", "--auto", help="build, test and promote; stop at the first failure"),
    flag(
        "--trim",
        help="build, test, and reduce the image to what the Test uses and `keep` names, if the Test still passes",
    ),
    flag("--rollback", help="roll back to the previous image"),
    flag("--push", help="push the tags latest, live and prev"),
    flag("--clean", help="remove the tag latest, and its image unless that is live or prev"),
    option("-b", "--build_params", metavar="FLAGS", help="pass further flags to the engine's build")._replace(
        takes_flags=True
    ),
    option("--cd", dest="place", metavar="NAME|DIR", help="service name or directory (default: the current directory)"),
    option("--name", help="image name (default: the directory's name)"),
    option("--repo", help="repository (default: `repo1`); with a `:`, a registry to push to"),
    option("--tag", default=LATEST, help="tag for the built image (default: latest); other tags are not promoted"),
    flag("--only-test", help="test the latest image, without building (as `make test`)"),
    flag("--makefile", help="print the path of dockyard.mk, for a service's Makefile to include"),
    VERSION,
)
DESCRIPTION = "Build a service's image, as `repo1/NAME:latest`; with flags, test and promote it."


def d_build(arguments: list[str]) -> Result:
    """Run what the flags request."""
    given = argparse.Namespace(**Parser("d-build", DESCRIPTION, OPTIONS).read(arguments))
    if given.makefile:
        return Result([str(MAKEFILE)])
    _refuse(given)
    parameters = _words(given.build_params)
    yard = Yard()
    names = {"name": given.name, "repository": given.repo}
    builder = builder_for(yard, yard.service(given.place), **names, parameters=parameters)
    return _trimmed(yard, builder, given) if given.trim else _done(yard, builder, given)


def _done(yard: Yard, builder: Builder, given: argparse.Namespace) -> Result:
    """Run the one action that the flags name; by default, build."""
    if given.rollback:
        return _rolled_back(builder)
    if given.push:
        builder.push()
        return Result([f"{builder.service.name}: pushed"])
    if given.clean:
        return _clean(builder)
    if given.setlive and not given.test:
        warn(f"{builder.name.tagged(LATEST)} is promoted as it is: this run did not test it")
        return _published(builder, builder.promote(None))
    return _made(yard, builder, given)


def _made(yard: Yard, builder: Builder, given: argparse.Namespace) -> Result:
    """Build, test and promote, as far as the flags say."""
    image, is_tested = Made(latest_id(builder)) if given.only_test else _built(yard, builder, given.tag)
    if not is_tested and (given.test or given.auto or given.only_test):
        is_tested = tested_id(builder, image) is not None
    if given.auto:
        return _promoted(yard, builder, image)
    if given.setlive:
        return _published(builder, builder.promote(image))
    return Result([f"{builder.name.tagged(given.tag)} is {image[:12]}{', tested' if is_tested else ''}"])


def _built(yard: Yard, builder: Builder, tag: str) -> Made:
    if builder.settings[TRIM] and tag == LATEST:
        return built(yard, builder, Wanted())
    return Made(built_whole(builder, Wanted(), tag).id)


def _trimmed(yard: Yard, builder: Builder, given: argparse.Namespace) -> Result:
    """Build, trim, test, and promote where the flags say so."""
    from dockyard.surface.told import trimmed_line

    done = trimmed(yard, builder, Wanted())
    line = trimmed_line(builder.name.tagged(LATEST), done)
    if not given.auto:
        return Result([line])
    result = _promoted(yard, builder, done.image)
    return result._replace(lines=[line, *result.lines])


def _promoted(yard: Yard, builder: Builder, image: str) -> Result:
    """Promote what has passed its tests, unless it has worse vulnerabilities than what runs."""
    live = builder.tags().get(builder.name.tagged(LIVE))
    with remembered(builder, "scan", image):
        notes = scan_candidate(yard, builder.service, image, live.id if live else "")
    result = _published(builder, builder.promote(image))
    return result._replace(lines=[*result.lines, *notes])


def _published(builder: Builder, promotion: Promotion) -> Result:
    changes: tuple[str, ...] = ()
    if promotion.commands:
        name, live = builder.service.name, promotion.live
        history.record(name, "promote", "ok", image=live, content=builder.engine.content(live))
        changes = note_changes(builder.engine, name, promotion.previous, live)
    builder.publish()
    result = promoted(builder, promotion)
    return result._replace(lines=[*result.lines, *changes])


def _rolled_back(builder: Builder) -> Result:
    promotion, rejected = roll_back_tags(builder)
    builder.publish()
    result = promoted(builder, promotion)
    return result._replace(lines=[*result.lines, *lasts(builder.service, rejected)])


def _refuse(given: argparse.Namespace) -> None:
    """Raise UsageError for flags that contradict each other."""
    exclusive = ("auto", "setlive", "rollback", "push", "clean", "only_test")
    wanted = [f"--{name.replace('_', '-')}" for name in exclusive if getattr(given, name)]
    if len(wanted) > 1:
        raise UsageError(f"{' and '.join(wanted)} exclude each other", hint="choose one")
    if given.trim and wanted not in ([], ["--auto"]):
        raise UsageError(f"--trim and {wanted[0]} exclude each other", hint="choose one")
    if given.trim and given.tag != LATEST:
        raise UsageError(f"--trim is about `{LATEST}`, not `{given.tag}`", hint="leave out --tag")
    if given.test and (given.rollback or given.push or given.clean):
        raise UsageError(f"--test and {wanted[0]} exclude each other", hint="choose one")
    if given.tag != LATEST and wanted:
        raise UsageError(f"{wanted[0]} is about `{LATEST}`, not `{given.tag}`", hint="leave out --tag")


def _words(parameters: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(parameters))
    except ValueError as error:
        raise UsageError(f"--build_params: {error}", hint="balance the quotes") from None


def _clean(builder: Builder) -> Result:
    """Remove the latest tag and what it was trimmed from; an image goes only where nothing else names it."""
    names = [builder.name.tagged(tag) for tag in (LATEST, UNTRIMMED)]
    there = list(builder.engine.images(names))
    if not there:
        return Result([f"no image {names[0]}: nothing to clean"])
    builder.engine.call("rmi", *there)
    return Result([f"{' and '.join(there)} {'are' if len(there) > 1 else 'is'} removed; {LIVE} and {PREVIOUS} stay"])


main = program("d-build", d_build)
