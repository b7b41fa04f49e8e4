"""Source → image → tested → live: each step on its own, each by image id."""

import os
import re
import secrets
import shlex
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from dockyard import evidence, process, telling
from dockyard.base_images import BaseImages, bases_of, usable_choices
from dockyard.build_output import BuildOutput
from dockyard.context import build_context
from dockyard.directives import EVIDENCE, RUN, UNDER_TEST, directing, refuse_old_script
from dockyard.engine.engine import Engine
from dockyard.engine.identity import SOURCE_LABEL
from dockyard.engine.models import Image, plain_id
from dockyard.errors import NO_PROGRAM, DockyardError, EngineError, NoSuchNameError, TestFailedError, UsageError
from dockyard.plan.build import (
    EARLIER,
    LATEST,
    LIVE,
    UNTRIMMED,
    ImageName,
    Promotion,
    build_command,
    build_parameters,
    image_name,
    loading_flags,
    plan_promotion,
    plan_rollback,
    references,
    secret_names,
)
from dockyard.plan.values import Command
from dockyard.reaper import remove_run
from dockyard.secrets import values_of
from dockyard.service import Service
from dockyard.settings.keys import KEEP, TEST_PROD
from dockyard.settings.resolve import Settings
from dockyard.source import recorded_bases, source_hash, trimming_hash, what_changed
from dockyard.telling import say
from dockyard.updates.choices import choices_of
from dockyard.yard import Yard

CONTINUE = "CONTINUE=1"
"""What `./Build` writes as its last line when the standard build is to follow."""


class Builder(NamedTuple):
    """The builds of one service. `parameters` are further flags for the engine's build.

    `chosen` are references with a digest that a build takes for images that the Dockerfile names without one.
    """

    engine: Engine
    service: Service
    settings: Settings
    name: ImageName
    parameters: tuple[str, ...] = ()
    chosen: Mapping[str, str] = MappingProxyType({})

    def with_choices(self, wanted: Mapping[str, str]) -> "Builder":
        """Return the same builds on chosen digests, as far as the Dockerfile can name them."""
        return self._replace(chosen=usable_choices(self.service, self.all_parameters, wanted))

    def build(self, tag: str = LATEST, *, force: bool = False, timeout: float | None = None) -> Image:
        """Build the image if its source has changed, push it where its repository is a registry, and return it.

        `force` builds it in any case, and without the engine's cache; `timeout` is in seconds. If an image of the same
        source differs from the new one in nothing but times, the tag names the earlier one. Raises DockyardError
        where the build fails, with its transcript; the tag then names what it named before.
        """
        reference = self.name.tagged(tag)
        image = None if force else self.is_current(tag)
        if not image:
            self.base_images.pull_missing()
        if image:
            say(f"{self.service.name}: unchanged, {reference} is {image.id[:12]}")
        else:
            with self._earlier(reference, force=force) as earlier:
                image = self._built(reference, force=force, timeout=timeout)
                image = self._without_duplicate(reference, image, earlier)
        if self.name.in_registry:
            push(self.engine, [reference])
        return image

    def _built(self, reference: str, *, force: bool, timeout: float | None) -> Image:
        script = self.service.program("Build")
        if not script or self._run_script(script, reference):
            self._standard_build(reference, force=force, timeout=timeout)
        image = self._image(reference)
        if not image:
            hint = "tag the image in ./Build; the name is in $IMAGE"
            raise DockyardError(f"{self.service.name}: ./Build succeeded, but image {reference} does not exist", hint)
        return image

    @contextmanager
    def _earlier(self, reference: str, *, force: bool) -> Iterator[Collection[Image]]:
        """Yield the images that a build may turn out to equal, and have them exist until the end of the block."""
        images = self.engine.images([reference, self.name.tagged(UNTRIMMED), self.name.tagged(LIVE)])
        held = self.name.tagged(EARLIER) if force and reference in images else ""
        if held:
            self.engine.call("tag", images[reference].id, held)
        try:
            yield images.values()
        finally:
            if held:
                with suppress(EngineError):  # a container runs it
                    self.engine.call("rmi", held)

    def _without_duplicate(self, reference: str, new: Image, earlier: Iterable[Image]) -> Image:
        """Return an earlier image of the same source that the new one equals, which then has the tag; or the new one.

        The new one is removed: it would only take up space.
        """
        same_source = [one for one in earlier if one.source == new.source and not one.trimmed] if new.source else []
        if any(one.id == new.id for one in same_source):
            return new
        before = next((one for one in same_source if self._has_same_files(new, one)), None)
        if not before:
            return new
        self.engine.call("tag", before.id, reference)
        left = self.engine.image(new.id)
        if left and not left.tags:
            with suppress(EngineError):  # something uses it in the meantime
                self.engine.call("rmi", new.id)
        say(f"{self.service.name}: the build changed nothing, {reference} is {before.id[:12]}")
        return before

    def _has_same_files(self, new: Image, before: Image) -> bool:
        from dockyard.packages.compare import has_same_files

        try:
            return has_same_files(self.engine, new, before)
        except DockyardError as error:
            say(f"{self.service.name}: not compared with {before.id[:12]}: {error}")
            return False

    def is_current(self, tag: str = LATEST) -> Image | None:
        """Return the image of a tag if it was built from the current source; None if it must be built."""
        image = self._image(self.name.tagged(tag))
        return image if image and image.source and image.source == self.source else None

    @property
    def source(self) -> str:
        """A hash of all that the image is made from, as it is now. Raises DockyardError if it cannot be built."""
        return self._source_on(self.base_images.contents)

    @property
    def own_source(self) -> str:
        """A hash of all that the owner decides: the source, whatever images it is built on, and the Test."""
        return f"{self._source_on({})} {self.decides_on_trimming}"

    def _source_on(self, contents: Mapping[str, str]) -> str:
        return source_hash(self.service, (*self.all_parameters, *secret_names(self.settings)), contents)

    @property
    def base_images(self) -> BaseImages:
        """The images that a build is based on."""
        return BaseImages(self.engine, self.service, self.bases, self.chosen, self._built_last)

    def _built_last(self) -> Image | None:
        tags = self.tags()
        return tags.get(self.name.tagged(LATEST)) or tags.get(self.name.tagged(LIVE))

    def what_changed(self, image: Image) -> str:
        """Return why an image is not of the source as it is: what of it has changed since that was built."""
        return what_changed(image.source, recorded_bases(image.bases), self.base_images.contents, self._source_on)

    @property
    def decides_on_trimming(self) -> str:
        """A hash of the Test and of `keep`: if it changes, a trimmed image must be trimmed again."""
        return trimming_hash(test_script(self.service, self.settings), self.settings[KEEP])

    @property
    def bases(self) -> tuple[str, ...]:
        """The images that the Dockerfile names."""
        return bases_of(self.service, self.all_parameters)

    @property
    def all_parameters(self) -> tuple[str, ...]:
        """The flags of every build: those of the engine, the host, the service and the caller."""
        return (*build_parameters(self.settings, self.engine.dialect), *self.parameters)

    def shell(self, tag: str = LATEST, *, force: bool = False) -> tuple[str, ...]:
        """Return what builds it, as lines to paste into a shell; `force` as in `build`."""
        reference = self.name.tagged(tag)
        directory = shlex.quote(str(self.service.directory))
        script = (f"(cd {directory} && IMAGE={reference} ./Build)",) if self.service.program("Build") else ()
        if not self.service.file("Dockerfile"):
            return script
        parameters = self._parameters_of_build(force=force)
        dockerfile = self.base_images.dockerfile(self.all_parameters)
        command = build_command(
            str(self.service.directory), reference, "", parameters, self.settings, "-" if dockerfile else ""
        )
        environment = (f"{name}={shlex.quote(value)}" for name, value in self._environment.items())
        line = " ".join((*environment, command.shell(self.engine.program)))
        return (*script, *(here_document(line, dockerfile) if dockerfile else (line,)))

    @property
    def _environment(self) -> dict[str, str]:
        """What a build has in its environment and we do not."""
        return {name: value for name, value in self.engine.dialect.build_environment if name not in os.environ}

    def _parameters_of_build(self, *, force: bool) -> tuple[str, ...]:
        named = os.environ.get("BUILDX_BUILDER", "")
        loading = loading_flags(self.all_parameters, named, self.engine.dialect)
        return (*self._labelled(), *loading, *(("--no-cache",) if force else ()))

    def _labelled(self) -> tuple[str, ...]:
        bases = self.base_images
        labels = {SOURCE_LABEL: self._source_on(bases.contents), **bases.labels}
        recorded = (("--label", f"{label}={text}") for label, text in labels.items() if text)
        return (*self.all_parameters, *(word for words in recorded for word in words))

    def _image(self, reference: str) -> Image | None:
        return self.engine.images([reference]).get(reference)

    def _run_script(self, script: Path, reference: str) -> bool:
        """Run ./Build; returns whether the standard build follows."""
        last = ""
        environment = {**self._environment, "IMAGE": reference, "DOCKYARD_SOURCE": self.source}
        try:
            command, place = (str(script),), self.service.directory
            for line in process.lines(command, cwd=place, extra_environment=environment, hidden=CONTINUE):
                last = line.strip() or last
        except process.FailedError as error:
            raise DockyardError(f"{self.service.name}: ./Build ended with exit code {error.exit_code}") from None
        except OSError as error:
            raise DockyardError(f"{script}: {error.strerror}", NO_PROGRAM) from None
        return last == CONTINUE

    def _standard_build(self, reference: str, *, force: bool, timeout: float | None) -> None:
        if not self.service.file("Dockerfile"):
            raise DockyardError(f"{self.service.directory}: no Dockerfile", hint="write one, or a ./Build")
        parameters = self._parameters_of_build(force=force)
        with (
            build_context(self.service.directory) as context,
            tempfile.TemporaryDirectory(prefix="dockyard-") as scratch,
        ):
            id_file, dockerfile = Path(scratch, "id"), Path(scratch, "Dockerfile")
            chosen = self.base_images.dockerfile(self.all_parameters)
            if chosen:
                dockerfile.write_text(chosen, encoding="utf-8", errors="surrogateescape", newline="")
            file = str(dockerfile) if chosen else ""
            command = build_command(str(context), reference, str(id_file), parameters, self.settings, file)
            self._run_build(command, timeout)
            self._check_tag(reference, plain_id(id_file.read_text(encoding="ascii").strip()), parameters)

    def _run_build(self, command: Command, timeout: float | None) -> None:
        """Run the engine's build, and show what it writes. Raises DockyardError, with the transcript."""
        values = values_of(command.secrets, self.settings)
        with telling.build_display() as show, self._temporary_directory(has_secrets=bool(values)) as temporary:
            output = BuildOutput(show, self.engine.dialect.builder_notice)
            environment = {**self._environment, **_PLAIN_OUTPUT, **values, **temporary}
            try:
                ran = self.engine.tee(*command.argv, timeout=timeout, environment=environment, output=output)
            except process.LateError as error:
                message = f"{self.service.name}: the build timed out after {timeout:g} s"
                raise _with_transcript(DockyardError(message, hint="raise --timeout"), error.output) from None
            if ran.exit_code:
                raise _with_transcript(self._failure(ran), ran.output)

    @contextmanager
    def _temporary_directory(self, *, has_secrets: bool) -> Iterator[dict[str, str]]:
        """Yield the environment that has the builder write secrets only where they are removed after the build."""
        if not (has_secrets and self.engine.dialect.leaves_build_secrets):
            yield {}
            return
        usual = Path(os.environ.get("TMPDIR", "/var/tmp"))  # noqa: S108 - podman's own, which has room for layers
        above = usual if usual.is_dir() else None
        with tempfile.TemporaryDirectory(prefix="dockyard-", dir=above, ignore_cleanup_errors=True) as place:
            yield {"TMPDIR": place}

    def _failure(self, ran: process.Ran) -> DockyardError:
        """Return why a build failed."""
        needs_buildkit = self.engine.dialect.needs_buildkit
        if needs_buildkit and re.search(needs_buildkit, ran.output):
            is_off = os.environ.get("DOCKER_BUILDKIT") == "0"
            hint = "unset DOCKER_BUILDKIT (it is 0)" if is_off else _GET_BUILDKIT
            return DockyardError(f"{self.service.name}: its build needs BuildKit, which docker did not use", hint)
        message = f"{self.service.name}: the build failed with exit code {ran.exit_code}"
        return DockyardError(message, hint="see the engine's messages above")

    def _check_tag(self, reference: str, built: str, parameters: tuple[str, ...]) -> None:
        """Raise DockyardError if a tag does not name what was built.

        With a containerd image store `built` may be the digest of the image's configuration instead of its id (buildx
        before 0.36). The engine does not always report that digest: then the label says whether it is of this source.
        """
        image = self._image(reference)
        is_ours = image and (
            built in {image.id, image.config_digest}
            or (f"{SOURCE_LABEL}={image.source}" in parameters and self._is_unknown_digest(image, built))
        )
        if not is_ours:
            message = f"{reference} was re-tagged by another build"
            raise DockyardError(message, hint="build again")

    def _is_unknown_digest(self, image: Image, digest: str) -> bool:
        """Return whether the engine reports no image of this digest, neither as an id nor beside this image's id."""
        return not image.config_digest and not self.engine.image(digest)

    def test(self, image: str, *, timeout: float | None = None, environment: Mapping[str, str] | None = None) -> bool:
        """Run the service's Test on an image id, with a further environment. Returns False if there is none to run.

        The verdict is the Test's exit status. Whatever way it ends, no instance of it is left. Raises TestFailedError,
        with the transcript, also after `timeout` seconds.
        """
        script = test_script(self.service, self.settings)
        if not script:
            return False
        run = secrets.token_hex(8)
        with tempfile.TemporaryDirectory(prefix="dockyard-") as place:
            under_test = f"{self.service.name}=sha256:{image}"
            directives = {**(environment or {}), UNDER_TEST: under_test, RUN: run, EVIDENCE: place}
            try:
                self._run_test(script, ("-r",), directives, timeout)
            except DockyardError as error:
                remove_run(self.engine, run, place)
                error.evidence = evidence.load(Path(place))
                error.hint = "\n".join([*evidence.lines(error.evidence), error.hint])
                raise
            finally:
                remove_run(self.engine, run)
        return True

    @property
    def has_test(self) -> bool:
        """Whether `test` has something to run."""
        return test_script(self.service, self.settings) is not None

    def test_production(self, *, timeout: float | None = None) -> bool:
        """Run ./Test-prod on the container that is in production. Returns False if there is none to run.

        Raises TestFailedError, as `test` does.
        """
        script = self.service.program("Test-prod")
        if script:
            self._run_test(script, (), {}, timeout)
        return bool(script)

    def _run_test(self, script: Path, flags: tuple[str, ...], directives: dict[str, str], limit: float | None) -> None:
        name = f"{self.service.name}: {script.name}"
        hint = f"to reproduce it: cd {self.service.directory} && {' '.join((f'./{script.name}', *flags))}"
        refuse_old_script(script)
        everything = {**directing(directives), **process.own_programs_on_path()}
        try:
            ran = process.tee(
                (str(script), *flags), cwd=self.service.directory, extra_environment=everything, timeout=limit
            )
        except process.LateError as error:
            failed = TestFailedError(f"{name} timed out after {limit:g} s", hint)
            raise _with_transcript(failed, error.output) from None
        except OSError as error:
            raise TestFailedError(f"{script}: {error.strerror}", NO_PROGRAM) from None
        if ran.exit_code:
            code = ran.exit_code
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise _with_transcript(TestFailedError(f"{name} {how}", hint), ran.output)

    def tags(self) -> dict[str, Image]:
        """Return the images of `:latest`, `:live` and `:prev` that exist, by reference."""
        return self.engine.images(references(self.name))

    def promote(self, tested: str | None) -> Promotion:
        """Make the latest image live, and what was live the previous one; `tested` is the id that passed, if any did.

        Nothing changes if what is live has the same content. Raises DockyardError if what would be promoted has
        another content than what was tested.
        """
        image = (self.engine.image(tested) or Image(tested)) if tested else None
        return self._carry_out(plan_promotion(self.name, self.tags(), image))

    def rollback(self, wanted: Image | None = None) -> Promotion:
        """Make the previous image, or a wanted one, live again, and what was live the previous one.

        Raises NoSuchNameError.
        """
        return self._carry_out(plan_rollback(self.name, self.tags(), wanted))

    def _carry_out(self, promotion: Promotion) -> Promotion:
        for command in promotion.commands:
            self.engine.call(*command.argv)
        return promotion

    def publish(self) -> None:
        """Push what was promoted, where the repository is a registry, and release what is no longer retained.

        Raises DockyardError.
        """
        from dockyard.versions import prune

        prune(self)
        if self.name.in_registry:
            self.push()

    def publish_latest(self) -> None:
        """Push the latest image, where the repository is a registry. Raises DockyardError."""
        if self.name.in_registry:
            push(self.engine, [self.name.tagged(LATEST)])

    def push(self) -> None:
        """Push `:latest`, `:live` and `:prev`, as far as they exist. Raises DockyardError."""
        if not self.name.in_registry:
            where = self.name.repository or self.name.name
            raise UsageError(
                f"`{where}` is not a registry", hint="name one with a `:`, such as `repo1: registry.example:5000`"
            )
        tags = self.tags()
        if not tags:
            raise NoSuchNameError(f"no image {self.name.tagged(LATEST)}", hint="build it first, with d-build")
        push(self.engine, tags)


def builder_for(  # noqa: PLR0913 - a service, and what is given otherwise
    yard: Yard,
    service: Service,
    *,
    name: str = "",
    repository: str = "",
    parameters: tuple[str, ...] = (),
    chosen: Mapping[str, str] | None = None,
) -> Builder:
    """Return the builder of a service, as it is configured but for what is given."""
    settings = yard.load(service)
    names = image_name(service.name, settings, name=name, repository=repository)
    builder = Builder(yard.engine, service, settings, names, parameters)
    return builder.with_choices(choices_of(service.name) if chosen is None else chosen)


def latest_id(builder: Builder) -> str:
    """Return the id of the latest image; raises NoSuchNameError."""
    image = builder.tags().get(builder.name.tagged(LATEST))
    if not image:
        raise NoSuchNameError(f"no image {builder.name.tagged(LATEST)}", hint="build it first, with d-build")
    return image.id


def _with_transcript(error: DockyardError, transcript: str) -> DockyardError:
    error.transcript = transcript
    return error


def here_document(command: str, text: str) -> tuple[str, ...]:
    """Return lines for a shell that give a command this text as its input."""
    end = "DOCKERFILE"
    while end in text.splitlines():
        end += "_"
    return (f"{command} <<'{end}'", *text.splitlines(), end)


_PLAIN_OUTPUT = {"BUILDKIT_PROGRESS": "plain"}
_GET_BUILDKIT = (
    "install buildx (Debian: `apt install docker-buildx`; Docker's own packages: docker-buildx-plugin). "
    "With Docker 20.10 set DOCKER_BUILDKIT=1"
)


def test_script(service: Service, settings: Settings) -> Path | None:
    """Return the Test that `make test` runs: Test-prod where the host asks for it and there is one, else Test."""
    order = ("Test-prod", "Test") if settings[TEST_PROD] else ("Test",)
    return next((script for script in map(service.program, order) if script), None)


test_script.__test__ = False  # type: ignore[attr-defined]  # pytest: this is no test


def push(engine: Engine, tags: Iterable[str]) -> None:
    """Push references to their registry; raises DockyardError."""
    for reference in tags:
        if engine.attach("push", reference, quiet=True):
            raise DockyardError(f"{reference}: the push failed", hint="see the engine's messages above")
