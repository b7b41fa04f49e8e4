"""d-build: source → image → tested → live."""

import shlex

import click

from dockyard.build import Builder
from dockyard.cli import complete
from dockyard.cli.main import CONTEXT, program, version_option
from dockyard.cli.making import builder_for, latest_id, promoted, tested_id
from dockyard.cli.output import Result, warn
from dockyard.errors import UsageError
from dockyard.plan.build import LATEST, LIVE, PREVIOUS
from dockyard.share import MAKEFILE
from dockyard.yard import Yard


@click.command("d-build", context_settings=CONTEXT)
@click.option("-t", "--test", "test", is_flag=True, help="Build, then run the tests.")
@click.option("-s", "--setlive", is_flag=True, help="Promote the latest image, without building: it becomes `live`.")
@click.option("-a", "--auto", is_flag=True, help="Build, test, promote; stop at the first failure.")
@click.option("--rollback", is_flag=True, help="Put the previous image back.")
@click.option("--push", "push", is_flag=True, help="Push latest, live and prev.")
@click.option("--clean", is_flag=True, help="Remove the image tagged latest, unless it is live or prev too.")
@click.option("-b", "--build_params", default="", metavar="FLAGS", help="Further flags for the engine's build.")
@click.option("--cd", "place", default="", metavar="NAME|DIR", shell_complete=complete.services, help="The service.")
@click.option("--name", default="", help="Image name, in place of the directory's.")
@click.option("--repo", default="", help="Repository; with `:` in it, a registry to push to.")
@click.option("--tag", default=LATEST, show_default=True, help="Tag of what is built. Others are not promoted.")
@click.option("--only-test", is_flag=True, hidden=True, help="Test the latest image without building: `make test`.")
@click.option("--makefile", is_flag=True, help="Print the path of dockyard.mk, for a service's Makefile to include.")
@version_option
def d_build(  # noqa: PLR0911, PLR0913 - the flags of a program
    *,
    test: bool,
    setlive: bool,
    auto: bool,
    rollback: bool,
    push: bool,
    clean: bool,
    build_params: str,
    place: str,
    name: str,
    repo: str,
    tag: str,
    only_test: bool,
    makefile: bool,
) -> Result:
    """Build a service's image, as `repo1/NAME:latest`; with flags, test and promote it."""
    if makefile:
        return Result([str(MAKEFILE)])
    _refuse(auto=auto, setlive=setlive, rollback=rollback, push=push, clean=clean, tag=tag)
    builder = builder_for(Yard(), place, name=name, repository=repo, parameters=_words(build_params))
    if rollback:
        return promoted(builder, builder.rollback())
    if push:
        builder.push()
        return Result([f"{builder.service.name}: pushed"])
    if clean:
        return _clean(builder)
    if setlive and not test:
        warn(f"{builder.name.tagged(LATEST)} is promoted as it is: this run did not test it")
        return promoted(builder, builder.promote(None))
    image = latest_id(builder) if only_test else builder.build(tag).id
    tested = tested_id(builder, image) if test or auto or only_test else None
    if auto or setlive:
        return promoted(builder, builder.promote(tested or image))
    return Result([f"{builder.name.tagged(tag)} is {image[:12]}{', tested' if tested else ''}"])


def _refuse(*, tag: str, **chosen: bool) -> None:
    """Raise UsageError for flags that contradict each other."""
    wanted = [f"--{name}" for name, given in chosen.items() if given]
    if len(wanted) > 1:
        raise UsageError(f"{' and '.join(wanted)} exclude each other", hint="choose one")
    if tag != LATEST and wanted:
        raise UsageError(f"{wanted[0]} is about `{LATEST}`, not `{tag}`", hint="leave out --tag")


def _words(parameters: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(parameters))
    except ValueError as error:
        raise UsageError(f"--build_params: {error}", hint="balance the quotes") from None


def _clean(builder: Builder) -> Result:
    """Remove the latest tag; the image goes with it only where nothing else names it."""
    reference = builder.name.tagged(LATEST)
    if reference not in builder.tags():
        return Result([f"no image {reference}: nothing to clean"])
    builder.engine.call("rmi", reference)
    return Result([f"{reference} is removed; {LIVE} and {PREVIOUS} stay"])


main = program(d_build)
