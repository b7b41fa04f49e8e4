"""Source → image → tested → live: each step on its own, each by image id."""

import secrets
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from dockyard import process
from dockyard.context import build_context
from dockyard.engine.engine import Engine
from dockyard.engine.models import Image, plain_id
from dockyard.errors import DockyardError, NoSuchNameError, TestFailedError, UsageError
from dockyard.plan.build import (
    LATEST,
    ImageName,
    Promotion,
    build_command,
    build_parameters,
    plan_promotion,
    plan_restore,
    plan_rollback,
    references,
)
from dockyard.reaper import remove_run
from dockyard.service import Service
from dockyard.settings.keys import TEST_PROD
from dockyard.settings.resolve import Settings
from dockyard.yard import RUN, UNDER_TEST

CONTINUE = "CONTINUE=1"
"""What `./Build` writes as its last line when the standard build is to follow."""


class Builder(NamedTuple):
    """The builds of one service. `parameters` are further flags for the engine's build."""

    engine: Engine
    service: Service
    settings: Settings
    name: ImageName
    parameters: tuple[str, ...] = ()

    def build(self, tag: str = LATEST) -> Image:
        """Build the image, push it where its repository is a registry, and return it.

        Raises DockyardError where the build fails; the tag then names what it named before.
        """
        reference = self.name.tagged(tag)
        script = self.service.program("Build")
        if not script or self._run_script(script, reference):
            self._standard_build(reference)
        image = self._image(reference)
        if not image:
            hint = "./Build has to tag what it makes; the name is in $IMAGE"
            raise DockyardError(f"{self.service.name}: built, but there is no image {reference}", hint)
        if self.name.in_registry:
            push(self.engine, [reference])
        return image

    def _image(self, reference: str) -> Image | None:
        return self.engine.images([reference]).get(reference)

    def _run_script(self, script: Path, reference: str) -> bool:
        """Run ./Build; returns whether the standard build follows."""
        last = ""
        try:
            for line in process.lines(
                (str(script),), cwd=self.service.directory, extra_environment={"IMAGE": reference}
            ):
                last = line.strip() or last
        except process.FailedError as error:
            raise DockyardError(f"{self.service.name}: ./Build ended with exit code {error.exit_code}") from None
        except OSError as error:
            raise DockyardError(f"{script}: {error.strerror}", _FIRST_LINE) from None
        return last == CONTINUE

    def _standard_build(self, reference: str) -> None:
        if not self.service.file("Dockerfile"):
            raise DockyardError(f"{self.service.directory}: no Dockerfile", hint="write one, or a ./Build")
        parameters = (*build_parameters(self.settings, self.engine.dialect), *self.parameters)
        with build_context(self.service.directory) as context, tempfile.TemporaryDirectory() as scratch:
            id_file = Path(scratch, "id")
            command = build_command(str(context), reference, str(id_file), parameters)
            exit_code = self.engine.attach(*command.argv, quiet=True)
            if exit_code:
                message = f"{self.service.name}: the build failed with exit code {exit_code}"
                raise DockyardError(message, hint="the engine says why, above")
            self._check_tag(reference, plain_id(id_file.read_text(encoding="ascii").strip()))

    def _check_tag(self, reference: str, built: str) -> None:
        image = self._image(reference)
        if not image or image.id != built:
            message = f"{reference} is not the image that was built"
            raise DockyardError(message, hint="another build came in between; build again")

    def test(self, image: str) -> bool:
        """Run the service's Test on an image id. Returns False where there is none to run.

        The verdict is the Test's exit status. Whatever way it ends, no instance of it is left. Raises TestFailedError.
        """
        script = test_script(self.service, self.settings)
        if not script:
            return False
        run = secrets.token_hex(8)
        environment = {
            UNDER_TEST: f"{self.service.name}=sha256:{image}",
            RUN: run,
            **process.own_programs_on_path(),
        }
        try:
            exit_code = process.attach(
                (str(script), "-r"), cwd=self.service.directory, extra_environment=environment, quiet=True
            )
        except OSError as error:
            raise TestFailedError(f"{script}: {error.strerror}", _FIRST_LINE) from None
        finally:
            remove_run(self.engine, run)
        if exit_code:
            how = f"was killed by signal {-exit_code}" if exit_code < 0 else f"ended with exit code {exit_code}"
            hint = f"to see it alone: cd {self.service.directory} && ./{script.name} -r"
            raise TestFailedError(f"{self.service.name}: {script.name} {how}", hint)
        return True

    def tags(self) -> dict[str, Image]:
        """Return the images of `:latest`, `:live` and `:prev` that exist, by reference."""
        return self.engine.images(references(self.name))

    def promote(self, tested: str | None) -> Promotion:
        """Make the latest image live, and what was live the previous one; `tested` is the id that passed, if any did.

        Raises DockyardError where what would be promoted is not what was tested.
        """
        return self._carry_out(plan_promotion(self.name, self.tags(), tested))

    def rollback(self) -> Promotion:
        """Make the previous image live again, and what was live the previous one. Raises NoSuchNameError."""
        return self._carry_out(plan_rollback(self.name, self.tags()))

    def _carry_out(self, promotion: Promotion) -> Promotion:
        for command in promotion.commands:
            self.engine.call(*command.argv)
        return promotion

    def publish(self) -> None:
        """Push what was promoted, where the repository is a registry. Raises DockyardError."""
        if self.name.in_registry:
            self.push()

    def restore(self, before: dict[str, Image]) -> None:
        """Put `:live` and `:prev` back to where `tags` saw them."""
        now = self.tags()
        for command in plan_restore(self.name, before):
            if command.argv[0] == "tag" or command.argv[-1] in now:
                self.engine.call(*command.argv)

    def push(self) -> None:
        """Push `:latest`, `:live` and `:prev`, as far as they exist. Raises DockyardError."""
        if not self.name.in_registry:
            where = self.name.repository or self.name.name
            raise UsageError(f"`{where}` is not a registry", hint="one has `:` in it: repo1: registry.example:5000")
        tags = self.tags()
        if not tags:
            raise NoSuchNameError(f"no image {self.name.tagged(LATEST)}", hint="build it first, with d-build")
        push(self.engine, tags)


_FIRST_LINE = "does its first line name a program that exists?"


def test_script(service: Service, settings: Settings) -> Path | None:
    """Return the Test that `make test` runs: Test-prod where the host asks for it and there is one, else Test."""
    order = ("Test-prod", "Test") if settings[TEST_PROD] else ("Test",)
    return next((script for script in map(service.program, order) if script), None)


test_script.__test__ = False  # type: ignore[attr-defined]  # pytest: this is no test


def push(engine: Engine, tags: Iterable[str]) -> None:
    """Push references to their registry; raises DockyardError."""
    for reference in tags:
        if engine.attach("push", reference, quiet=True):
            raise DockyardError(f"{reference}: the push failed", hint="the engine says why, above")
