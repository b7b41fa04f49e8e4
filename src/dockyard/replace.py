"""Production of one service: launched, or replaced by a new container that has to prove itself."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from dockyard import dossier, history, launch, recovery, secrets
from dockyard.answering import await_answer, listening_ports
from dockyard.engine.models import LAUNCH_LABEL, Container
from dockyard.errors import DockyardError, EngineError
from dockyard.plan.launch import LaunchOptions, LaunchPlan, container_name, image_candidates
from dockyard.plan.switch import SwitchPlan, Tags, check_owner, plan_switch
from dockyard.plan.values import Command
from dockyard.service import Service
from dockyard.settings.keys import FOREGROUND, START_FIRST, TAG
from dockyard.settings.resolve import Settings
from dockyard.switch import MILLISECONDS, Switched, SwitchFailedError, seal, switch, undo
from dockyard.telling import warn
from dockyard.text import listed
from dockyard.watch import watch
from dockyard.yard import Yard

Tell = Callable[[str], None]


def production(yard: Yard, service: Service) -> Container | None:
    """Return the container of a service's production, up or stopped, or None."""
    return next(iter(yard.engine.containers([container_name(yard.load(service))])), None)


def planned(yard: Yard, service: Service, image: str = "", live: str = "", *, replacing: bool = True) -> LaunchPlan:
    """Plan a launch of production in the background.

    `image` is the id that it has to be, where one was made for it, and `live` the reference that it gets. Raises
    DockyardError, also where the settings would launch something else.
    """
    flags: dict[str, str | bool | tuple[str, ...]] = {FOREGROUND.name: False}
    settings = yard.load(service, flags=flags)
    if image:
        _check_reference(yard, settings, live)
        settings = yard.load(service, flags={**flags, TAG.name: f"sha256:{image}"})
    return launch.plan(yard, service, settings, LaunchOptions(directory=str(service.directory)), replacing=replacing)


def _check_reference(yard: Yard, settings: Settings, live: str) -> None:
    """Raise DockyardError if the settings would launch something else than what is promoted."""
    candidates = image_candidates(settings)
    before = candidates[: candidates.index(live)] if live in candidates else candidates
    if live not in candidates or yard.engine.images(before):
        raise DockyardError(
            f"{container_name(settings)} would be launched from {before[0]}, but {live} is promoted",
            hint="set `image`, `tag`, `repo1` and `build_repo` to the image that d-build builds",
        )


def up(yard: Yard, service: Service) -> LaunchPlan:
    """Launch production, which is not up. Raises DockyardError if it cannot be launched or does not stay up."""
    plan = planned(yard, service, replacing=False)
    try:
        start(yard, plan)
    except EngineError as error:
        record_failed_start(yard, plan, str(error), error.hint, is_there=False)
        raise
    history.record(service.name, "start", "ok", image=plan.image_id)
    problem = watch(yard.engine, [plan.name])[plan.name].problem
    if problem:
        failed = DockyardError(f"{plan.name}: the new container {problem}", hint=launch.last_words(yard.engine, plan))
        record_failed_start(yard, plan, str(failed), failed.hint)
        raise failed
    return plan


def record_failed_start(yard: Yard, plan: LaunchPlan, reason: str, hint: str, *, is_there: bool = True) -> None:
    """Record that production did not start, or did not stay up, with a failure report; `is_there`: its container is."""
    containers = {"new": plan.name} if is_there else {}
    where = dossier.keep(yard.engine, plan.service, reason, hint=hint, containers=containers)
    detail = {"reason": reason, "dossier": str(where or "")}
    history.record(plan.service, "start", "failed", image=plan.image_id, **detail)


def start(yard: Yard, plan: LaunchPlan) -> None:
    """Launch production, which is not up, and do not wait to see how it does.

    What changed in a stopped container that goes for it is kept. Raises InUseError if another container writes to its
    data.
    """
    with yard.neighbours.launching(plan):
        if any(isinstance(step, Command) for step in plan.steps[:-1]):
            recovery.keep_changes(yard.engine, plan.name)
        launch.carry_out(yard.engine, plan)


class Replacement(NamedTuple):
    """A switch that is about to happen. `test` runs Test-prod where there is one; `patience` is in seconds.

    `missing` are services that it waits for and that failed: then a failure of this one may be theirs.
    """

    yard: Yard
    service: Service
    plan: SwitchPlan
    action: str
    tell: Tell
    test: Callable[[], object] = bool
    patience: float | None = None
    missing: tuple[str, ...] = ()

    @property
    def image_before(self) -> str:
        """The id of the image that production had until then; empty if there was none."""
        tags = self.plan.tags
        return self.plan.old.image_id if self.plan.old else tags.live if tags else ""

    def switch(self) -> Switched:
        """Switch, up to where `seal` makes it final. Raises DockyardError; production is then as it was.

        That is raised only once production answers again, or has not for so long that it should have.
        """
        old = self.plan.old if self.plan.old and self.plan.old.is_up else None
        ports = listening_ports(old.pid) if old else frozenset()
        failures: list[tuple[SwitchFailedError, Path | None]] = []
        try:
            with self.yard.neighbours.launching(self.plan.launch):
                return switch(
                    self.yard.engine,
                    self.plan,
                    self.tell,
                    test=self.test,
                    patience=self.patience,
                    keep=lambda error, roles, times: failures.append((error, self._keep_dossier(error, roles, times))),
                )
        except SwitchFailedError as error:
            back = self._await_production(error, ports) if old else ""
            error.hint = "\n".join(filter(None, [back, error.hint, self._excuse()]))
            raise
        finally:
            for failed, where in failures:
                # With no launch, none is refused later because of this one.
                again = {"launch": ""} if failed.retry or self.missing else {}
                detail = {"outage_ms": failed.outage, "reason": str(failed), "dossier": str(where or "")}
                self._record("failed", **detail, **again)

    def _await_production(self, error: SwitchFailedError, ports: frozenset[int]) -> str:
        """Wait until the old container answers; returns what to report of that."""
        if not error.outage:
            return "production was not down"
        self.tell("waiting for production")
        answers = await_answer(self.yard.engine, self.plan.name, ports)
        error.outage += round((time.monotonic() - error.back) * MILLISECONDS)
        if answers:
            return f"rolled back; production was down for {error.outage} ms"
        name = self.plan.name
        return f"rolled back, but production does not answer {error.outage} ms after its stop: see `d logs {name}`"

    def _excuse(self) -> str:
        if not self.missing:
            return ""
        return f"{listed(self.missing)}, which it waits for, failed: the next upgrade retries this image"

    def seal(self, switched: Switched) -> None:
        """Make it final."""
        seal(self.yard.engine, self.plan)
        killed = {"killed": True} if switched.killed else {}
        self._record("ok", outage_ms=switched.outage, stop_ms=switched.stop, start_ms=switched.start, **killed)

    def undo(self) -> None:
        """Have production as it was before a switch that was not made final."""
        with recovery.undisturbed():
            undo(self.yard.engine, self.plan)
        self._record("undone")

    def finish(self, switched: Switched) -> None:
        """Make a switch final, whatever comes in between."""
        try:
            self.seal(switched)
        except BaseException:
            with recovery.undisturbed():
                recovery.restore(self.yard.engine, self.plan.name)
            raise

    def carry_out(self) -> Switched:
        """Switch and make it final."""
        switched = self.switch()
        self.finish(switched)
        return switched

    def _keep_dossier(
        self, error: SwitchFailedError, roles: Mapping[str, str], times: Mapping[str, float]
    ) -> Path | None:
        return dossier.keep(
            self.yard.engine,
            self.service.name,
            str(error),
            hint=error.hint,
            containers=roles,
            transcript=error.transcript,
            timings=times,
            evidence=error.evidence,
        )

    def _record(self, result: str, **detail: object) -> None:
        detail = {"launch": trial(self.service, self.plan.launch), **detail}
        image = self.plan.launch.image_id
        content = self.yard.engine.content(image)
        history.record(self.service.name, self.action, result, image=image, content=content, **detail)


def pending_changes(service: Service, here: Container, plan: LaunchPlan) -> list[str]:
    """Return what a new container of the same image would have that the one that is here has not."""
    found = [] if here.labels.get(LAUNCH_LABEL) == plan.labels[LAUNCH_LABEL] else ["its settings have changed"]
    try:
        changed = secrets.rotated_secrets(here, plan.secrets, plan.settings)
    except DockyardError as error:
        warn(f"{service.name}: it could not be checked whether its secrets have changed: {error}")
        changed = []
    return [*found, *([f"its secrets have changed: {', '.join(changed)}"] if changed else [])]


def trial(service: Service, plan: LaunchPlan) -> str:
    """Return what identifies one attempt to run an image in production: its settings, and how it is tested there."""
    import hashlib

    script = service.program("Test-prod")
    test = hashlib.sha256(script.read_bytes()).hexdigest()[:16] if script else ""
    first = " start_first" if plan.settings[START_FIRST] else ""
    return f"{plan.labels[LAUNCH_LABEL]} {test}{first}"


def replacement(  # noqa: PLR0913
    yard: Yard,
    service: Service,
    action: str,
    tell: Tell,
    *,
    image: str = "",
    live: str = "",
    tags: Tags | None = None,
    test: Callable[[], object] | None = None,
    patience: float | None = None,
    missing: tuple[str, ...] = (),
) -> Replacement:
    """Plan that a new container takes the place of production, up or not; `image` as in `planned`.

    Raises DockyardError if it cannot be, before anything has happened.
    """
    old = production(yard, service)
    if old:
        check_owner(old, service.name, yard.engine.program)
    plan = plan_switch(
        planned(yard, service, image, live), old, tags, yard.engine.dialect, test_production=test is not None
    )
    yard.neighbours.refuse(plan.launch)
    return Replacement(yard, service, plan, action, tell, test or bool, patience, missing)
