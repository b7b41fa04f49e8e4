"""One service from its source to production: built, tested, switched to; and what of that there is to do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from dockyard import history, recovery
from dockyard.build import Builder, builder_for, test_script
from dockyard.contents import stale_files
from dockyard.engine.models import Container, Image
from dockyard.errors import DockyardError, HeldError
from dockyard.holds import hold_of
from dockyard.host import host_facts
from dockyard.plan.build import LATEST, LIVE, PREVIOUS
from dockyard.plan.launch import LaunchPlan, container_name
from dockyard.plan.switch import SwitchPlan, Tags, check_owner, check_start_first, moving_tags, plan_switch
from dockyard.plan.waves import starts_here
from dockyard.replace import Replacement, pending_changes, planned, production, replacement, trial
from dockyard.service import Service
from dockyard.settings.keys import SCAN_COMMAND, TRIM
from dockyard.switch import Switched
from dockyard.yard import Yard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dockyard.surface.trim import Trimmed
    from dockyard.updates.applying import Applied
    from dockyard.updates.choices import Choices
    from dockyard.updates.pending import Pending

Tell = Callable[[str], None]


def each(*tells: Tell) -> Tell:
    """Return a callback that calls all of them."""

    def tell(doing: str) -> None:
        for one in tells:
            one(doing)

    return tell


class Wanted(NamedTuple):
    """How an upgrade is to go: `force` builds without a cache and retries what failed; `timeout` in seconds.

    `is_explicit`: the user has named the service, so that `force` upgrades one that is held or was rolled back, too.
    `missing` as in Replacement. `updates` are newer versions of what services are built on, by service; with `chosen`
    a build takes these digests; `passed` is the id of an image that has passed its Test. `rebuilds` are services whose
    packages are to be fetched again, and with `is_fresh` a build does so.
    """

    force: bool = False
    timeout: float | None = None
    is_explicit: bool = False
    missing: tuple[str, ...] = ()
    updates: "Mapping[str, tuple[Pending, ...]]" = MappingProxyType({})
    chosen: "Choices | None" = None
    passed: str = ""
    rebuilds: frozenset[str] = frozenset()
    is_fresh: bool = False

    @property
    def ignores_cache(self) -> bool:
        """Whether images are built although their source is the same, and without the engine's build cache."""
        return self.force or self.is_fresh

    @property
    def overrides_holds(self) -> bool:
        """Whether it upgrades a service that is held, and to a version that was rolled back."""
        return self.force and self.is_explicit


class Report(NamedTuple):
    """What an upgrade did to a service: `upgraded`, `promoted` or `current`, and how; `notes` are further lines."""

    service: str
    result: str
    text: str
    image: str = ""
    outage_ms: int | None = None
    notes: tuple[str, ...] = ()


class Ready(NamedTuple):
    """An image that has passed its tests; `reasons` say why production is to switch to it: none, it is not.

    `runs`: production is up, or starts by itself on this host. `notes` are lines for the report, `applied` is what of
    base images was updated for it.
    """

    builder: Builder
    image: str
    tested: str | None
    reasons: tuple[str, ...]
    tags: Tags
    runs: bool
    notes: tuple[str, ...] = ()
    applied: "Applied | None" = None

    @property
    def live(self) -> str:
        """The reference that the image gets."""
        return self.builder.name.tagged(LIVE)


def upgrade(yard: Yard, service: Service, wanted: Wanted, tell: Tell) -> Report:
    """Build, test, and switch to what passed, as far as there is anything to do. The container's lock is held.

    Raises DockyardError; production is then as it was.
    """
    from dockyard.updates.applying import prepare_with_updates

    recovery.settle(yard.engine, container_name(yard.load(service)), tell)
    refuse_errors(yard, service)
    ready = prepare_with_updates(yard, service, wanted, tell)
    return ready if isinstance(ready, Report) else finish(yard, service, ready, wanted, tell)


def refuse_errors(yard: Yard, service: Service) -> None:
    """Raise SettingsError for what `d check` finds, if no upgrade can succeed with it."""
    from dockyard.check.gate import refusals

    for error in refusals(yard, [service.name]).values():
        raise error


def prepare(yard: Yard, service: Service, wanted: Wanted, tell: Tell) -> Ready | Report:
    """Build and test, if there is anything to do; a report where there is nothing."""
    if held := _hold(service, wanted):
        raise held
    builder = builder_for(yard, service, chosen=wanted.chosen)
    tell("building")
    made = built(yard, builder, wanted)
    ready = look(yard, builder, made.image)
    image = ready.image
    if not ready.reasons and not _to_promote(ready):
        return Report(service.name, "current", f"{service.name} is up to date, {image[:12]}", image)
    if rejected := _rejection(yard, service, ready, wanted):
        raise rejected
    if not made.is_tested and wanted.passed not in {made.image, image}:
        tell(f"testing {image[:12]}")
        if failed := _failed_test(builder, image, wanted):
            raise failed
        passed = tested(builder, image, wanted)
    else:
        passed = image
    return ready._replace(tested=passed, notes=scan(yard, ready, wanted, tell))


def _failed_test(builder: Builder, image: str, wanted: Wanted) -> DockyardError | None:
    """Return why a Test is not run again: by itself nothing repeats one that failed with the same image and script."""
    if wanted.force or wanted.is_explicit:
        return None
    service = builder.service.name
    event = history.failed_test(service, image, builder.engine.content(image), builder.decides_on_trimming)
    if not event:
        return None
    text = f"{service}: {image[:12]} failed its Test on {event.when}, and neither has changed since"
    return DockyardError(
        f"{text}: {event.detail.get('reason', '')}",
        f"see `d why {service}`; retry with `d upgrade {service}`",
    )


def scan(yard: Yard, ready: Ready, wanted: Wanted, tell: Tell) -> tuple[str, ...]:
    """Scan what has passed its tests, and return lines for the report.

    Raises DockyardError if it has worse vulnerabilities than what runs, or that is not known; this leaves a failure
    report.
    """
    if not yard.settings[SCAN_COMMAND]:
        return ()
    from dockyard.vulnerabilities.gate import scan_candidate

    builder, image = ready.builder, ready.image
    tell(f"scanning {image[:12]}")
    with remembered(builder, "scan", image):
        return scan_candidate(yard, builder.service, image, ready.tags.live, is_forced=wanted.overrides_holds)


class Made(NamedTuple):
    """The id of an image of the source as it is; `is_tested`: in the making it has passed its Test."""

    image: str
    is_tested: bool = False


def built(yard: Yard, builder: Builder, wanted: Wanted) -> Made:
    """Build, and trim if the settings require it. Raises DockyardError, and stores a failure report."""
    before = current(builder)
    if before and not wanted.ignores_cache:
        return Made(before.id)
    image = None if wanted.ignores_cache else builder.is_current(LATEST)
    image = image or built_whole(builder, wanted)
    if builder.settings[TRIM]:
        return Made(trimmed(yard, builder, wanted).image, is_tested=True)
    return Made(image.id)


def built_whole(builder: Builder, wanted: Wanted, tag: str = LATEST) -> Image:
    """Build, without trimming. Raises DockyardError, and stores a failure report."""
    with remembered(builder, "build"):
        image = builder.build(tag, force=wanted.ignores_cache, timeout=wanted.timeout)
    history.record(builder.service.name, "build", "ok", image=image.id, content=image.content)
    return image


def trimmed(yard: Yard, builder: Builder, wanted: Wanted) -> "Trimmed":
    """Reduce the latest image to what its Test uses. Raises DockyardError, and stores a failure report."""
    from dockyard.fleet.order import built_from
    from dockyard.surface.trim import trim

    with remembered(builder, "trim"):
        done = trim(builder, built_from(yard, builder.service.name), timeout=wanted.timeout)
    history.record(builder.service.name, "trim", "ok", image=done.image, content=builder.engine.content(done.image))
    return done


def current(builder: Builder) -> Image | None:
    """Return the latest image if it is of the source as it is, and trimmed as the settings say; None otherwise."""
    image = builder.is_current(LATEST)
    if not image or not builder.settings[TRIM]:
        return image
    return image if image.trimmed and image.trimmed_for == builder.decides_on_trimming else None


def tested(builder: Builder, image: str, wanted: Wanted) -> str | None:
    """Run the Test; return the id, or None if there is no Test. Raises TestFailedError, and stores a failure report."""
    service = builder.service.name
    content = builder.engine.content(image)
    with remembered(builder, "test", image, content=content, script=builder.decides_on_trimming):
        passed = builder.test(image, timeout=wanted.timeout)
    history.record(service, "test", "ok" if passed else "no test", image=image, content=content)
    return image if passed else None


@contextmanager
def remembered(builder: Builder, action: str, image: str = "", **detail: str) -> Iterator[None]:
    """Record a failure of the block as a failure report and in the history, with further detail."""
    try:
        yield
    except DockyardError as error:
        from dockyard import dossier

        name, reason = builder.service.name, str(error)
        where = dossier.keep(
            builder.engine,
            name,
            reason,
            hint=error.hint,
            transcript=error.transcript,
            evidence=error.evidence,
        )
        history.record(name, action, "failed", image=image, reason=reason, dossier=str(where or ""), **detail)
        raise


def finish(yard: Yard, service: Service, ready: Ready, wanted: Wanted, tell: Tell) -> Report:
    """Switch to what passed, or only promote it where nothing is to run. Raises DockyardError."""
    if not ready.reasons:
        return promote(yard, ready)
    from dockyard.updates.applying import guard_update

    with guard_update(yard, service, ready.applied):
        pending = switching(yard, service, ready, wanted, tell)
        switched = pending.carry_out()
    ready.builder.publish()
    return with_changes(yard, upgraded(pending, switched), pending.image_before, ready.notes)


def upgraded(pending: Replacement, switched: Switched) -> Report:
    """Return the report of a switch that is final."""
    image = pending.plan.launch.image_id
    words = f"{pending.plan.name} is up, from {image[:12]}, {switched}"
    return Report(pending.service.name, "upgraded", words, image, switched.outage, switched.notes)


def with_changes(yard: Yard, report: Report, before: str, notes: tuple[str, ...] = ()) -> Report:
    """Add what changed in packages and files since the image before, by its id, to a report and to the history.

    `notes` are further lines.
    """
    from dockyard.image_changes import note_changes

    changes = note_changes(yard.engine, report.service, before, report.image)
    return report._replace(notes=(*report.notes, *changes, *notes))


def promote(yard: Yard, ready: Ready) -> Report:
    """Make what passed live where nothing runs. Raises DockyardError."""
    from dockyard.updates.applying import guard_update

    builder = ready.builder
    with guard_update(yard, builder.service, ready.applied):
        builder.promote(ready.tested or ready.image)
    content = builder.engine.content(ready.image)
    history.record(builder.service.name, "promote", "ok", image=ready.image, content=content)
    builder.publish()
    text = f"{builder.name.tagged(LIVE)} is {ready.image[:12]}"
    return with_changes(yard, Report(builder.service.name, "promoted", text, ready.image), ready.tags.live, ready.notes)


def switching(yard: Yard, service: Service, ready: Ready, wanted: Wanted, tell: Tell) -> Replacement:
    """Return the switch to an image that has passed. Raises DockyardError if something else came in between."""
    builder = ready.builder
    latest = builder.tags().get(builder.name.tagged(LATEST))
    if not latest or not _have_same_content(yard, latest.id, ready.image):
        now = latest.id[:12] if latest else "gone"
        raise DockyardError(
            f"{builder.name.tagged(LATEST)} is {now}, but {ready.image[:12]} was tested",
            hint="another build ran in the meantime; build and test again",
        )
    test = (lambda: builder.test_production(timeout=wanted.timeout)) if service.program("Test-prod") else None
    return replacement(
        yard,
        service,
        "upgrade",
        tell,
        image=ready.image,
        live=ready.live,
        tags=ready.tags,
        test=test,
        patience=wanted.timeout,
        missing=wanted.missing,
    )


def look(yard: Yard, builder: Builder, image: str) -> Ready:
    """Return what there is to do to have production run an image, as things are. Raises DockyardError.

    If what is live has the same content, it is the image to run: so no tag moves between two equal images.
    """
    tags = builder.tags()
    live, previous = (tags.get(builder.name.tagged(tag)) for tag in (LIVE, PREVIOUS))
    image = live.id if live and _have_same_content(yard, live.id, image) else image
    there = Tags(builder.name.untagged, live.id if live else "", previous.id if previous else "")
    here = production(yard, builder.service)
    runs = bool(here and here.is_up) or starts_here(builder.settings, host_facts().name)
    reasons: tuple[str, ...] = ()
    if runs:
        launch = planned(yard, builder.service, image, builder.name.tagged(LIVE))
        check_start_first(launch, here, yard.engine.dialect)
        is_running = here is not None and _have_same_content(yard, here.image_id, image)
        pending = pending_changes(builder.service, here, launch) if here and here.is_up else []
        reasons = _reasons(here, launch, there, pending, is_running=is_running)
    return Ready(builder, image, None, reasons, there, runs)


def _have_same_content(yard: Yard, one: str, other: str) -> bool:
    """Return whether two images, by their ids, have the same content."""
    if one == other:
        return True
    from dockyard.packages.equality import have_same_content

    found = yard.engine.images([f"sha256:{one}", f"sha256:{other}"])
    first, second = found.get(f"sha256:{one}"), found.get(f"sha256:{other}")
    return first is not None and second is not None and have_same_content(yard.engine, first, second)


def _reasons(
    here: Container | None, launch: LaunchPlan, tags: Tags, pending: list[str], *, is_running: bool
) -> tuple[str, ...]:
    """Return why production is not as its source says; `is_running`: its image is the right one."""
    if not here or not here.is_up:
        return ("it is not up",)
    found = []
    if not is_running:
        found.append(f"it runs {here.image_id[:12]}")
    if here.is_apart:
        found.append("it is on no network")
    found += pending
    if tags.live != launch.image_id:
        found.append(f"live is {tags.live[:12] or 'nothing'}")
    return tuple(found)


def _to_promote(ready: Ready) -> bool:
    return not ready.reasons and ready.tags.live != ready.image


def _hold(service: Service, wanted: Wanted) -> HeldError | None:
    """Return why nothing upgrades a service now: it is held."""
    found = None if wanted.overrides_holds else hold_of(service.name)
    if not found:
        return None
    name = service.name
    hint = f"release it with `d unhold {name}`, or upgrade it once with `d upgrade {name} --force`"
    return HeldError(f"{name} is {found}", hint)


def _rejection(yard: Yard, service: Service, ready: Ready, wanted: Wanted) -> DockyardError | None:
    """Return why nothing upgrades to an image: it failed in production or was rolled back, and nothing has changed."""
    if wanted.overrides_holds:
        return None
    tried = trial(service, planned(yard, service, ready.image, ready.live)) if ready.reasons else ""
    event = history.rejection(service.name, ready.image, yard.engine.content(ready.image), tried)
    name, image, why = service.name, ready.image[:12], f"see `d why {service.name}`; "
    if event and event.result == history.ROLLED_BACK:
        text = f"{name}: {image} was rolled back on {event.when}, and neither its source nor its base has changed since"
        return HeldError(text, f"change the source, or run `d upgrade {name} --force`")
    if not event or wanted.force:
        return None
    text = f"{name}: {image} failed in production on {event.when}, and nothing has changed since: "
    reason = event.detail.get("reason", "")
    return DockyardError(f"{text}{reason}", f"{why}change the source, or run `d upgrade {name} --force`")


IF_DIFFERENT = "# the rest only if the new image differs from the live one in more than timestamps:"


class Outline(NamedTuple):
    """What an upgrade would do now, with nothing done: lines to paste, and why; no lines: there is nothing to do.

    `refusal` is why there is nothing to do although production is not what its source says; `notes` are changes that no
    upgrade carries out.
    """

    lines: tuple[str, ...]
    reasons: tuple[str, ...]
    refusal: str = ""
    notes: tuple[str, ...] = ()

    def shown(self, name: str) -> tuple[str, ...]:
        """Return all of it as lines to paste into a shell."""
        lines = self.lines or (f"# {self.refusal or f'{name} is up to date'}",)
        return (*(f"# {name}: {note}" for note in self.notes), *lines)

    def row(self, name: str) -> dict[str, object]:
        """Return all of it as data."""
        given = self._asdict()
        return {"service": name, "commands": given.pop("lines"), **given}


def outline(yard: Yard, service: Service, wanted: Wanted) -> Outline:
    """Return the commands of an upgrade, in order. Nothing changes. Raises DockyardError if it cannot be."""
    found = _outline(yard, service, wanted)
    here = production(yard, service)
    stale = stale_files(planned(yard, service).steps) if here and here.is_up else []
    return found._replace(notes=tuple(stale))


def _outline(yard: Yard, service: Service, wanted: Wanted) -> Outline:
    builder = builder_for(yard, service)
    there = None if wanted.force else current(builder)
    known = there or builder.tags().get(builder.name.tagged(LATEST))
    if held := _hold(service, wanted):
        return Outline((), (), str(held))
    if not known:
        return Outline((*_making(builder, wanted), "# the launch can be planned once there is an image"), ("no image",))
    ready = look(yard, builder, known.id)
    reasons = (*(() if there else (_why_built(builder, wanted),)), *ready.reasons)
    if not reasons and not _to_promote(ready):
        return Outline((), ())
    if there and (rejected := _rejection(yard, service, ready, wanted)):
        return Outline((), (), str(rejected))
    word = "" if there else builder.name.tagged(LATEST)
    program = yard.engine.program
    making = _making(builder, wanted, () if there or ready.reasons else (IF_DIFFERENT,))
    if not ready.reasons and (there or not ready.runs):
        promotion = moving_tags(ready.tags.repository, ready.tags.live, builder.name.tagged(LATEST))
        return Outline((*making, *(step.shell(program) for step in promotion)), reasons or ("it is not live",))
    plan = outlined_switch(yard, service, ready, word)
    return Outline((*making, *(step.shell(program) for step in plan.steps)), reasons)


def _why_built(builder: Builder, wanted: Wanted) -> str:
    latest = builder.tags().get(builder.name.tagged(LATEST))
    if latest and not builder.is_current(LATEST):
        return builder.what_changed(latest)
    return "it was forced" if wanted.force else "it is not trimmed as its settings require"


def outlined_switch(yard: Yard, service: Service, ready: Ready, word: str) -> SwitchPlan:
    """Return the switch as it would be planned now; `word` stands for an image that is not built yet."""
    old = production(yard, service)
    if old:
        check_owner(old, service.name, yard.engine.program)
    test = bool(service.program("Test-prod"))
    launch = planned(yard, service, ready.image, ready.live)
    return plan_switch(launch, old, ready.tags, yard.engine.dialect, image=word, test_production=test)


def _making(builder: Builder, wanted: Wanted, condition: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return what builds and tests; `condition` follows what is done in any case."""
    from shlex import quote

    lines = builder.shell(force=wanted.force) if wanted.force or not builder.is_current(LATEST) else ()
    place = quote(str(builder.service.directory))
    if builder.settings[TRIM] and (wanted.force or not current(builder)):
        return (*lines, f"(cd {place} && d-build --trim)", *condition)
    script = test_script(builder.service, builder.settings)
    if not script:
        return (*lines, *condition, f"# {builder.service.name} has no Test")
    return (*lines, *condition, f"(cd {place} && ./{script.name} -r)")
