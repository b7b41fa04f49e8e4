"""The one door to the engine: argv in, its output or an error out."""

import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import IO, Any, TypeVar

from dockyard import masking, process
from dockyard.engine.about import About, numbers_of
from dockyard.engine.dialect import Dialect, dialect_of
from dockyard.engine.models import (
    MODE_LABEL,
    SERVICE_LABEL,
    UPGRADE_LABEL,
    Answer,
    BuildStep,
    Container,
    IdMap,
    Image,
    Network,
    Row,
    container_from,
    image_from,
    network_from,
    plain_id,
    row_from,
    secrets_in,
    step_from,
)
from dockyard.engine.silence import Watchdog, is_waiting, waiting
from dockyard.engine.slots import Slots, hold_slots
from dockyard.errors import (
    DockyardError,
    EngineError,
    EngineSilentError,
    EngineUnreachableError,
    PortTakenError,
    UsageError,
)
from dockyard.privilege import in_namespace
from dockyard.telling import warn

T = TypeVar("T")


SHORT_ID = 12  # how many characters of an id the engine shows


PAUSE = 0.02  # seconds between two polls of a container that is being removed

PATIENCE = 60  # seconds in which an engine has to answer a question
QUESTIONS = frozenset({"ps", "images", "history", "info"})
"""The verbs of commands that only ask."""

IN_PROGRESS = "already in progress"  # the engine's message about a container that another program is removing

SETTLING = 1.0  # seconds in which an image that is being created is complete


class Engine:
    """A docker or podman client on this host.

    `patience` is for how many seconds a question is waited for, if not as long as usual; such a one holds in any case.
    """

    def __init__(self, program: str, dialect: Dialect, patience: float | None = None) -> None:
        self.program = program
        self.dialect = dialect
        self._patience = patience

    @property
    def patience(self) -> float:
        """For how many seconds a question is waited for."""
        return self._patience or PATIENCE

    def call(self, *argv: str, secrets: Mapping[str, str] | None = None) -> str:
        """Run a command and return its stdout; secrets reach it through its environment.

        Raises EngineError if the engine refuses, EngineUnreachableError if there is none.
        """
        done = self._capture(argv, secrets, self.patience if argv[0] in QUESTIONS else None)
        if (
            done.exit_code
            and argv[0] == "start"
            and (self._end_leftover_shim(done) or self._remove_leftover_state(done))
        ):
            done = self._capture(argv, secrets, None)
        if done.exit_code:
            raise self._refused((self.program, *argv), done)
        return done.stdout

    def attach(self, *argv: str, secrets: Mapping[str, str] | None = None, quiet: bool = False) -> int:
        """Run a command on our terminal and return its exit code; `quiet` sends its output to stderr."""
        try:
            with waiting("Ctrl-C ends it"):
                environment = process.environment_with(secrets)
                return process.attach(
                    (self.program, *argv), environment=environment, quiet=quiet, silence=self._silence(argv)
                )
        except OSError as error:
            raise _cannot_start(self.program, error) from None

    def tee(
        self,
        *argv: str,
        timeout: float | None = None,
        environment: Mapping[str, str] | None = None,
        output: process.Output | None = None,
    ) -> process.Ran:
        """Run a command whose output goes to `output`, or else to stderr, and is kept.

        `environment` is added to ours. Raises LateError after `timeout` seconds.
        """
        try:
            return process.tee(
                (self.program, *argv),
                timeout=timeout,
                extra_environment=environment,
                output=output,
                silence=self._silence(argv),
            )
        except process.LateError:
            raise
        except OSError as error:
            raise _cannot_start(self.program, error) from None

    def stream(self, argv: tuple[str, ...], use: Callable[[IO[bytes]], object]) -> None:
        """Run a command whose output `use` reads as it comes.

        Raises EngineError if the engine refuses, also if the reader has failed for lack of output.
        """
        failed: DockyardError | None = None

        def read(output: IO[bytes]) -> None:
            nonlocal failed
            try:
                use(output)
            except DockyardError as error:
                if output.read(1):
                    raise
                failed = error

        try:
            done = process.stream((self.program, *argv), read)
        except OSError as error:
            raise _cannot_start(self.program, error) from None
        if done.exit_code:
            raise self._refused((self.program, *argv), done)
        if failed:
            raise failed

    def containers(self, names: Iterable[str]) -> list[Container]:
        """Return the containers of these names or ids that exist, in one question."""
        wanted = tuple(names)
        return [found for found in self._inspect("container", wanted, container_from) if _is_one_of(found, wanted)]

    def all_containers(self, *filters: str, stopped: bool = False) -> list[Container]:
        """Return the running containers, by name; `filters` as the engine has them (`label=…`)."""
        options = [word for condition in filters for word in ("--filter", condition)]
        ids = self.call("ps", "--quiet", "--no-trunc", *(["--all"] if stopped else []), *options).split()
        return sorted(self.containers(ids), key=lambda container: container.name)

    def rows(self) -> list[Row]:
        """Return all containers in short, by name, in one question."""
        labels = (self.dialect.label % label for label in (SERVICE_LABEL, MODE_LABEL, UPGRADE_LABEL))
        fields = ("{{.ID}}", "{{.Names}}", self.dialect.state, "{{.Status}}", "{{.Image}}", "{{.Ports}}", *labels)
        text = self.call("ps", "--all", "--no-trunc", "--format", "\t".join(fields))
        return sorted((row_from(line.split("\t")) for line in text.splitlines()), key=lambda row: row.name)

    def running(self, *, stopped: bool = False) -> list[tuple[str, str]]:
        """Return the short id and the name of every running container, by name; of stopped ones too where asked for."""
        return [(row.id[:SHORT_ID], row.name) for row in self.rows() if stopped or row.is_up]

    def is_up(self, container: str) -> bool:
        """Return whether a container exists and runs."""
        return any(found.is_up for found in self.containers([container]))

    def is_gone(self, container: str, patience: float = 10) -> bool:
        """Return whether a container does not exist; one that the engine removes at its end is waited for.

        `patience` is in seconds.
        """
        deadline = time.monotonic() + patience
        while found := self.containers([container]):
            if not found[0].removed_at_end or found[0].is_up or time.monotonic() > deadline:
                return False
            time.sleep(PAUSE)
        return True

    def is_healthy(self, container: str) -> bool:
        """Return whether a container's health check passes."""
        if self.dialect.health_check:
            return not self._capture((*self.dialect.health_check, container), None).exit_code
        return any(found.health == "healthy" for found in self.containers([container]))

    def logs(self, container: str, tail: int = 0) -> str:
        """Return what a container has written, stdout and stderr, or its last lines.

        Raises EngineError if its driver keeps nothing.
        """
        argv = ("logs", *(("--tail", str(tail)) if tail else ()), container)
        done = self._capture(argv, None)
        if done.exit_code:
            raise EngineError((self.program, *argv), done.exit_code, done.stderr)
        return done.stdout + done.stderr

    def read_file(self, container: str, path: str) -> str:
        """Return the content of a file inside, without running anything there; links inside are followed there."""
        import io
        import tarfile

        packed = self.call(*self.dialect.reading, f"{container}:{path}", "-").encode("utf-8", "surrogateescape")
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            member = next((archive.extractfile(entry) for entry in archive if entry.isfile()), None)
            return member.read().decode("utf-8", "replace") if member else ""

    def last_words(self, container: str, lines: int = 10) -> list[str]:
        """Return the last lines that a container has written; none where its driver keeps nothing, or it is gone."""
        try:
            return self.logs(container, lines).strip().splitlines()[-lines:]
        except EngineError:
            return []

    def is_not_ours(self, error: DockyardError) -> bool:
        """Return whether an engine that did not answer is none that we could use: never started, or for others."""
        return "permission denied" in str(error) or bool(
            self.dialect.socket and "DOCKER_HOST" not in os.environ and not Path(self.dialect.socket).exists()
        )

    def remove(self, container: str, *, with_volumes: bool = False) -> None:
        """Remove a container, up or not; one that goes by itself, or by another's hand, is waited for.

        `with_volumes` takes its anonymous volumes too, which is right for an instance under test alone.
        """
        volumes = ("--volumes",) if with_volumes else ()
        try:
            self.call(*self.dialect.removal, *volumes, container)
        except EngineError as error:
            if IN_PROGRESS in error.stderr:
                self._wait_until_gone(container)
            elif not any(part in error.stderr for part in self.dialect.missing):
                raise

    def end_strays(self, containers: Iterable[Container]) -> None:
        """End what a client that was killed has left of starting these containers, as far as they are not up."""
        down = {one.id for one in containers if one.status in {"created", "configured", "exited", "stopped"}}
        if not (self.dialect.monitor and down):
            return
        from dockyard.engine.strays import end, strays

        for stray in strays(self.dialect.monitor, down):
            try:
                end(stray)
            except OSError as error:
                raise _cannot_start(stray.runtime[0], error) from None

    def _end_leftover_shim(self, done: process.Done) -> bool:
        """End the shim for which a container that is down could not start; returns whether there was one."""
        found = self.dialect.task_exists and re.search(self.dialect.task_exists, done.stderr)
        there = self.containers([found[1]]) if found else []
        if not found or any(one.is_up for one in there):
            return False
        from dockyard.engine.strays import end_shim

        ended = end_shim(self.dialect.shim, found[1])
        for name in (one.name for one in there if ended):
            pids = ", ".join(map(str, ended))
            warn(f"{name}: ended the shim that a killed engine left (process {pids}); starting again")
        return bool(ended)

    def _remove_leftover_state(self, done: process.Done) -> bool:
        """Remove the state for which a container that is down could not start; returns whether there was any."""
        found = self.dialect.task_left and re.search(self.dialect.task_left, done.stderr)
        there = self.containers([found[2]]) if found else []
        if not found or not there or there[0].is_up:
            return False
        from dockyard.engine.strays import end_shim
        from dockyard.engine.task_state import remove_task_state

        end_shim(self.dialect.shim, found[2])
        removed = remove_task_state(found[1], found[2])
        if removed:
            warn(f"{there[0].name}: removed the state that a killed engine left in {found[1]}; starting again")
        return removed

    def _wait_until_gone(self, container: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.containers([container]) and time.monotonic() < deadline:
            time.sleep(PAUSE)

    def stop(self, containers: Iterable[str]) -> dict[str, str]:
        """Stop containers side by side; returns what the engine said of those that it did not stop.

        Each command names as many as there are slots for in any case.
        """
        from concurrent.futures import ThreadPoolExecutor

        names, size = list(containers), self._slots.at_least
        groups = [names[first : first + size] for first in range(0, len(names), size)]
        with ThreadPoolExecutor(max(len(groups), 1)) as clients:
            ended = list(clients.map(lambda group: self._capture(("stop", *group), None), groups))
        failed = [(group, done) for group, done in zip(groups, ended, strict=True) if done.exit_code]
        up = {found.name for found in self.containers(name for group, _ in failed for name in group) if found.is_up}
        return {name: done.stderr.strip() or "still up" for group, done in failed for name in group if name in up}

    def image_list(self, repository: str = "") -> list[dict[str, str]]:
        """Return a row for each tag, of one repository or of all: `repository`, `tag`, `id`, `size`, `created`."""
        fields = {"repository": ".Repository", "tag": ".Tag", "id": ".ID", "size": ".Size", "created": ".CreatedAt"}
        form = "\t".join(f"{{{{{field}}}}}" for field in fields.values())
        rows = self.call("images", "--format", form, *([repository] if repository else [])).splitlines()
        return [dict(zip(fields, row.split("\t"), strict=False)) for row in rows]

    def dangling(self) -> list[str]:
        """Return the ids of the images that no tag names, and no other image is built on."""
        text = self.call("images", "--filter", "dangling=true", "--quiet", "--no-trunc")
        return [plain_id(line) for line in text.split()]

    def images(self, references: Iterable[str]) -> dict[str, Image]:
        """Return those images that exist, by the reference asked for."""
        wanted = list(dict.fromkeys(references))
        if len(wanted) == 1:
            return dict(zip(wanted, self._inspect("image", wanted, image_from), strict=False))
        found: dict[str, Image] = {}
        for image in self._inspect("image", wanted, image_from):
            found |= {reference: image for reference in wanted if _names(image, reference)}
        return found

    def image(self, identifier: str) -> Image | None:
        """Return an image by its id, or None if there is none."""
        return next(iter(self.images([f"sha256:{identifier}"]).values()), None)

    def content(self, identifier: str) -> str:
        """Return the content of an image by its id; empty if there is none."""
        image = self.image(identifier)
        return image.content if image else ""

    def steps(self, image: str) -> list[BuildStep]:
        """Return the steps by which an image was made, the last one first."""
        form = "{{json .CreatedBy}}\t{{json .Comment}}"
        rows = self.call("history", "--no-trunc", "--format", form, image).splitlines()
        return [step_from(*row.split("\t")) for row in rows]

    def network(self, name: str) -> Network | None:
        """Return a network, or None if there is none of that name."""
        return self.networks([name]).get(name)

    def networks(self, names: Iterable[str]) -> dict[str, Network]:
        """Return those networks that exist, by name, in one question; not one whose id begins so."""
        wanted = tuple(dict.fromkeys(names))
        return {found.name: found for found in self._inspect("network", wanted, network_from) if found.name in wanted}

    @cached_property
    def about(self) -> About:
        """What the engine says of itself."""
        import json

        return self.dialect.read_about(json.loads(self.call("info", "--format", "{{json .}}")))

    @cached_property
    def changes_at_once(self) -> int:
        """How many starts, stops and removals at a time it gets from us."""
        bounds = self.dialect.changes_at_once
        version = numbers_of(self.about.version) if len(bounds) > 1 else ()
        return next((bound for since, bound in reversed(bounds) if numbers_of(since) <= version), bounds[0][1])

    @cached_property
    def id_map(self) -> IdMap:
        """Which ids, as this program sees them, the ids in containers are."""
        if not self.dialect.maps_root and not os.geteuid():
            return IdMap()
        subordinate = Path("/etc/subuid")
        text = subordinate.read_text(encoding="utf-8", errors="replace") if subordinate.is_file() else ""
        answer = self.call(*self.dialect.id_map).strip()
        if not answer:  # so some clients put it
            raise _does_not_answer(self, "")
        return self.dialect.read_id_map(answer, text)

    @property
    def host_id_map(self) -> IdMap:
        """Which ids of the host itself the ids in containers are, also from within a user's namespace."""
        if not in_namespace():
            return self.id_map
        maps = (Path(f"/proc/self/{name}").read_text(encoding="ascii") for name in ("uid_map", "gid_map"))
        return self.dialect.read_id_map("".join(maps), "")

    def inspect(self, kind: str, *names: str) -> list[Answer]:
        """Return the engine's answers for those that exist; `kind` is `container`, `image` or `network`."""
        return self._inspect(kind, names, lambda answer: answer)

    def _inspect(self, kind: str, names: Iterable[str], make: Callable[[Answer], T]) -> list[T]:
        wanted = tuple(names)
        if not wanted:
            return []
        import json

        argv = (kind, "inspect", *wanted)
        done = self._capture(argv, None, timeout=self.patience)
        if done.exit_code and not any(part in done.stderr for part in self.dialect.missing):
            raise EngineError((self.program, *argv), done.exit_code, done.stderr)
        try:
            answers: list[Any] = json.loads(done.stdout or "[]") or []
        except ValueError:
            raise EngineError((self.program, *argv), done.exit_code, "the answer is not JSON") from None
        if kind == "container":
            masking.known.learn(value for answer in answers for value in secrets_in(answer).values())
        return [make(answer) for answer in answers]

    @property
    def _slots(self) -> Slots:
        return Slots(self.dialect.name, self.dialect.changes_at_once[0][1], lambda: self.changes_at_once)

    def _silence(self, argv: tuple[str, ...]) -> process.Silence:
        return Watchdog(self.program, self.dialect, argv).silence()

    def _capture(
        self, argv: tuple[str, ...], secrets: Mapping[str, str] | None, timeout: float | None = None
    ) -> process.Done:
        done = self._captured(argv, secrets, timeout)
        if (image := self._half_written(done)) is None:
            return done
        time.sleep(SETTLING)
        done = self._captured(argv, secrets, timeout)
        if self._half_written(done) != image:
            return done
        self._captured(("rmi", "--force", image), None, PATIENCE)
        return self._captured(argv, secrets, timeout)

    def _refused(self, argv: tuple[str, ...], done: process.Done) -> EngineError:
        refused = EngineError(argv, done.exit_code, done.stderr or done.stdout)
        matches = (re.search(pattern, done.stderr) for pattern in self.dialect.port_taken)
        taken = next(filter(None, matches), None)
        if not taken:
            return refused
        said = taken.groupdict("")
        publisher = self._publisher(said["address"], said.get("protocol", "")) if "ps" not in argv[:2] else None
        reserved = self.dialect.port_reserved and self.dialect.port_reserved in done.stderr
        hint = _reserved_for_nobody(self.dialect.name) if reserved and publisher == "" else ""
        return PortTakenError(refused, said["address"], publisher or "", hint)

    def _publisher(self, address: str, protocol: str) -> str | None:
        """Return the container that has a port of the host; empty if none has, None if that is not known."""
        try:
            return next((row.name for row in self.rows() if row.publishes(address, protocol)), "")
        except DockyardError:
            return None

    def _half_written(self, done: process.Done) -> str | None:
        """Return the id of an image that was cut short while it was made, and that keeps the engine from answering."""
        if not done.exit_code or not self.dialect.half_written:
            return None
        found = re.search(self.dialect.half_written, done.stderr)
        return found[1] if found else None

    def _captured(
        self, argv: tuple[str, ...], secrets: Mapping[str, str] | None, timeout: float | None
    ) -> process.Done:
        silence = self._silence(argv)
        try:
            with hold_slots(self._slots, argv, silence):
                done = process.capture(
                    (self.program, *argv),
                    extra_environment=secrets,
                    timeout=None if is_waiting() and not self._patience else timeout,
                    silence=silence,
                )
        except TimeoutError:
            message = f"{self.dialect.name} does not answer `{argv[0]}` within {self.patience:g} s"
            raise EngineSilentError(message, hint=self.dialect.when_stuck) from None
        except OSError as error:
            raise _cannot_start(self.program, error) from None
        if done.exit_code and any(part in done.stderr for part in self.dialect.unreachable):
            raise _does_not_answer(self, f": {_without_request(done.stderr.strip().splitlines()[-1])}")
        return done


def _is_one_of(container: Container, wanted: tuple[str, ...]) -> bool:
    """Return whether a container was asked for: to the engine, a name such as `db` is the beginning of an id, too."""
    return any(container.name == word or (len(word) >= SHORT_ID and container.id.startswith(word)) for word in wanted)


def _names(image: Image, reference: str) -> bool:
    """Return whether a reference that was asked for together with others is this image's."""
    if image.id.startswith(reference.removeprefix("sha256:")):
        return True
    return _short(reference) in {_short(name) for name in (*image.tags, *image.digests)}


def _short(reference: str) -> str:
    """Return a reference without what engines write or leave out before it, and with the tag that they leave out.

    With a digest the tag says nothing: engines list `NAME@DIGEST` alone.
    """
    short = reference.removeprefix("localhost/").removeprefix("docker.io/").removeprefix("library/")
    name, at, digest = short.partition("@")
    above, slash, last = name.rpartition("/")
    if at:
        return f"{above}{slash}{last.partition(':')[0]}@{digest}"
    return short if ":" in last else f"{short}:latest"


def _without_request(reason: str) -> str:
    """Return why the client got no answer, without the request and the system call that docker appends."""
    return re.sub(r'(permission denied.*?): Get ".*', r"\1", reason)


def _service_command(verb: str, service: str) -> str:
    """Return what a person types to `start` or `restart` a service of the host."""
    from dockyard.host import has_systemd

    return f"systemctl {verb} {service}" if has_systemd() else f"service {service} {verb}"


def _reserved_for_nobody(engine: str) -> str:
    restart = _service_command("restart", engine)
    return (
        f"{engine} still has it reserved, but no running container publishes it: after {engine} was killed, this can "
        f"be for a removed container. `{restart}` frees it; running containers may stop during the restart"
    )


def _does_not_answer(engine: Engine, reason: str) -> EngineUnreachableError:
    if "permission denied" in reason:
        hint = "only root and members of its group may use it: use `sudo`"
    else:
        start = _service_command("start", engine.dialect.name)
        hint = f"check it with `{engine.program} info`; if it is not running, start it: `{start}`"
    return EngineUnreachableError(f"{engine.dialect.name} does not answer{reason}", hint)


def _cannot_start(program: str, error: OSError) -> EngineUnreachableError:
    return EngineUnreachableError(
        f"{program}: {error.strerror}", hint="install docker or podman, or name its program in DOCKER_EXEC"
    )


ENGINES = ("docker", "podman")
"""The programs that are looked for, the preferred one first."""


def find_engine(wanted: str | None) -> Engine:
    """Return the engine that is configured (a name or a path), else docker, else podman.

    Raises EngineUnreachableError if none is installed, UsageError for one that is neither.
    """
    for name in [wanted] if wanted else ENGINES:
        path = process.find(name)
        if path:
            return Engine(name, dialect_of(os.path.realpath(path), _script(Path(path))))
    if wanted and "/" in wanted:
        raise UsageError(f"{wanted}: no such program", hint="set another in DOCKER_EXEC or `engine` in the host file")
    raise EngineUnreachableError(
        f"{wanted or 'docker or podman'}: not installed", hint="install it, or name another in DOCKER_EXEC"
    )


OTHERS_PATIENCE = 5
"""Seconds for an engine that is asked only because its containers may be in the way."""


def other_engines(engine: Engine) -> list[Engine]:
    """Return the further engines that are installed on this host."""
    found: dict[str, Engine] = {}
    for name in ENGINES:
        if path := process.find(name):
            dialect = dialect_of(os.path.realpath(path), _script(Path(path)))
            found.setdefault(dialect.name, Engine(name, dialect, OTHERS_PATIENCE))
    return [other for other in found.values() if other.dialect.name != engine.dialect.name]


def _script(path: Path) -> str:
    """Return the beginning of a program that is a script."""
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError:
        return ""
    return start.decode("latin-1") if start.startswith(b"#!") else ""
