"""Carry out a switch: a new container replaces the production container; if it fails, the old one is restored."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from dockyard import launch, recovery, secrets
from dockyard.engine.engine import Engine
from dockyard.engine.models import LAUNCH, NEXT, OLD, START_FIRST
from dockyard.engine.silence import waiting
from dockyard.errors import DockyardError, EngineUnreachableError, PortTakenError
from dockyard.plan.switch import (
    STOP_FIRST,
    Gone,
    KeepChanges,
    ProductionTest,
    SwitchPlan,
    SwitchStep,
    Tags,
    Watch,
    tags_as_they_were,
)
from dockyard.plan.values import Command
from dockyard.recovery import undisturbed
from dockyard.stopping import kill_notes
from dockyard.watch import watch

MILLISECONDS = 1000


class Work(NamedTuple):
    """What a switch is carried out with: `tell` says what is being done, `test` runs Test-prod, which may take long."""

    engine: Engine
    plan: SwitchPlan
    tell: Callable[[str], None]
    test: Callable[[], object]
    patience: float | None
    times: dict[str, float]
    """When each step began, by what it is, in the clock's seconds."""


class Switched(NamedTuple):
    """A successful switch: how long production was down, and how long its parts took, in ms.

    `start` is until it was on its network, where it had started first; `up` is when that was, on the monotonic clock.
    `killed`: the old container did not end when it was asked to.
    """

    plan: SwitchPlan
    outage: int
    stop: int
    start: int
    up: float = 0.0
    killed: bool = False

    def __str__(self) -> str:
        """Return the measured outage."""
        if not self.stop:
            return f"up after {self.start} ms"
        last = "join" if self.plan.kind == START_FIRST else "start"
        return f"outage {self.outage} ms (stop {self.stop}, {last} {self.start})"

    @property
    def notes(self) -> tuple[str, ...]:
        """Further lines of its report."""
        return kill_notes("the old container", self.stop / MILLISECONDS) if self.killed else ()


class SwitchFailedError(DockyardError):
    """The new container did not prove itself; `outage` is for how many ms production was down, 0 if it was not.

    `back` is when the old container was started again, on the monotonic clock. `retry`: it was not the container's
    fault, and may go well another time.
    """

    def __init__(self, message: str, hint: str, outage: int = 0, *, retry: bool = False) -> None:
        super().__init__(message, hint)
        self.outage = outage
        self.back = 0.0
        self.retry = retry


Keep = Callable[[SwitchFailedError, Mapping[str, str], Mapping[str, float]], object]
"""Gets the error, the containers by role and the steps' times."""


def switch(  # noqa: PLR0913
    engine: Engine,
    plan: SwitchPlan,
    tell: Callable[[str], None],
    *,
    test: Callable[[], object] = bool,
    patience: float | None = None,
    keep: Keep | None = None,
) -> Switched:
    """Put the new container in the old one's place, up to where it has proved itself; `seal` makes that final.

    The container's lock is held. `test` runs Test-prod; `keep` is called with the error, the containers by role and the
    steps' times when it failed, once production is back and before the new container goes.

    Raises SwitchFailedError if the new one does not prove itself, DockyardError if it cannot be made. Production
    is then as it was.
    """
    work = Work(engine, plan, _changes(tell), test, patience, {})
    try:
        for step in plan.prepare:
            _perform(work, step)
        with waiting():
            for step in plan.switch:
                _perform(work, step)
    except BaseException as error:
        if isinstance(error, EngineUnreachableError) and step in plan.prepare:
            raise  # production is as it was, and what is left of the new container the next command removes
        with undisturbed(), waiting():
            failed = _failed(work, step, error)
            _go_back(work, failed, keep)
        if failed is error:
            raise
        raise failed from None
    return _measured(work)


def seal(engine: Engine, plan: SwitchPlan) -> None:
    """Make a switch final: its tags move, what production was until then goes. A signal does not stop it half way."""
    with undisturbed(), waiting():
        for step in plan.seal:
            recovery.perform(engine, step)


def _changes(tell: Callable[[str], None]) -> Callable[[str], None]:
    """Return a callback that reports each message once, however many steps repeat it."""
    last = ""

    def told(doing: str) -> None:
        nonlocal last
        if doing != last:
            tell(doing)
        last = doing

    return told


def _perform(work: Work, step: SwitchStep) -> None:
    work.times[_name(step)] = time.monotonic()
    match step:
        case Command(argv, wanted) if wanted:
            work.tell("preparing")
            values = secrets.values_of(wanted, work.plan.launch.settings)
            work.engine.call(*secrets.with_digests(argv, values, wanted), secrets=values)
        case Command(argv):
            is_unseen = step in work.plan.prepare and not _is_start(step)
            work.tell("preparing" if is_unseen else _DOING.get(argv[0], argv[0]))
            recovery.perform(work.engine, step)
        case Watch():
            work.tell("watching")
            _watch(work, step)
        case ProductionTest():
            work.tell("running ./Test-prod")
            work.test()
        case KeepChanges() | Gone():
            recovery.perform(work.engine, step)
        case _:
            for note in launch.do(work.engine, step):
                work.tell(note)


_DOING = {
    "rename": "switching",
    "stop": "stopping",
    "start": "starting",
    "network": "switching",
    "tag": "promoting",
}


def _name(step: SwitchStep) -> str:
    """Return the name of a step in the timings."""
    match step:
        case Command(("create", *_)):
            return "create"
        case Command(("network", *_)):
            return " ".join(step.argv)
        case Command(argv):
            return " ".join(argv[:2])
        case Watch(name):
            return f"watch {name}"
    return type(step).__name__


def _watch(work: Work, step: Watch) -> None:
    name, since = step.name, time.time() if step.counts_from_now else 0.0
    verdict = watch(work.engine, [name], patience=work.patience, since=since)[name]
    if verdict.problem:
        said = ("its health check:", verdict.health) if verdict.health else ()
        alone = (_NEEDS_NETWORK,) if name.endswith(NEXT) else ()
        hint = launch.last_words(work.engine, work.plan.launch, *alone, *said, name=name)
        raise DockyardError(f"{work.plan.name}: the new container {verdict.problem}", hint)


_NEEDS_NETWORK = f"`start_first` starts it without a network; if it needs one at startup, {STOP_FIRST}"


def _failed(work: Work, step: SwitchStep, error: BaseException) -> BaseException:
    """Return the error for a failed step: the new container's error if that was the cause."""
    is_turn = isinstance(step, Watch | ProductionTest) or step == work.plan.entry or _is_start(step)
    if not is_turn or not isinstance(error, DockyardError) or isinstance(error, EngineUnreachableError):
        return error
    advice = (line for line in work.plan.launch.advice if line not in error.hint)
    hint = "\n".join(filter(None, [error.hint, *advice]))
    failed = SwitchFailedError(str(error), hint, retry=isinstance(error, PortTakenError))
    failed.transcript, failed.evidence = error.transcript, error.evidence
    return failed


def _is_start(step: SwitchStep) -> bool:
    return isinstance(step, Command) and step.argv[0] == "start"


def _go_back(work: Work, error: BaseException, keep: Keep | None) -> None:
    """Have production as it was; raises DockyardError where that cannot be done now."""
    work.times["going back"] = time.monotonic()

    def between() -> None:
        work.times["back"] = time.monotonic()
        if keep and isinstance(error, SwitchFailedError):
            error.outage, error.back = _outage(work, "back"), work.times["back"]
            keep(error, _roles(work.engine, work.plan), _durations(work.times))

    try:
        tagged = any(name.startswith("tag ") for name in work.times)
        undo(work.engine, work.plan, between, tagged=tagged)
    except DockyardError as problem:
        raise recovery.unsettled(work.plan.name, problem) from error


def _roles(engine: Engine, plan: SwitchPlan) -> dict[str, str]:
    """Return the new and the old container by role, as far as they are there."""
    there = {one.name: one.id for one in engine.containers([plan.name, f"{plan.name}{NEXT}"])}
    if plan.kind == LAUNCH:
        return {"new": there.get(plan.name) or there.get(f"{plan.name}{NEXT}", "")}
    return {"new": there.get(f"{plan.name}{NEXT}", ""), "old": there.get(plan.name, "")}


def undo(engine: Engine, plan: SwitchPlan, between: Callable[[], None] = lambda: None, *, tagged: bool = True) -> None:
    """Have production as it was before a switch that was not sealed; `tagged`: it came as far as the tags.

    `between` is called when that is up, before the new container goes. Raises EngineError.
    """
    if plan.kind != LAUNCH:
        recovery.restore(engine, plan.name, between)
        return
    if plan.tags and tagged:
        put_back(engine, plan.tags)
    between()
    for new in engine.containers([plan.name, f"{plan.name}{NEXT}"]):
        if not (plan.old and plan.old.id == new.id):
            engine.remove(new.id)
    if plan.old and plan.old.is_up and engine.is_gone(plan.old.id):  # the engine removed it at its end
        again = plan.launch.creation(plan.name, f"sha256:{plan.old.image_id}", {})
        engine.call(*again.argv, secrets=secrets.values_of(again.secrets, plan.launch.settings))
        engine.call("start", plan.name)


def put_back(engine: Engine, tags: Tags) -> None:
    """Have `:live` and `:prev` as they were."""
    for command in tags_as_they_were(tags):
        if command.argv[0] == "tag" or engine.images([command.argv[-1]]):
            engine.call(*command.argv)


def _measured(work: Work) -> Switched:
    times = work.times
    stop = next((began for name, began in times.items() if name.startswith("stop ")), None)
    start, up = times[_name(work.plan.entry)], times[_name(Watch(work.plan.name))]
    parts = (0 if stop is None else up - stop, 0 if stop is None else start - stop, up - start)
    outage, stopping, starting = (round(part * MILLISECONDS) for part in parts)
    old = work.engine.containers([f"{work.plan.name}{OLD}"])
    return Switched(work.plan, outage, stopping, starting, up, killed=any(one.was_killed for one in old))


def _outage(work: Work, end: str) -> int:
    """Return for how many ms production was down, from its stop to a named moment."""
    began = next((began for name, began in work.times.items() if name.startswith("stop ")), None)
    return round((work.times[end] - began) * MILLISECONDS) if began else 0


def _durations(times: Mapping[str, float]) -> dict[str, float]:
    """Return how many seconds each step took."""
    ends = [*list(times.values())[1:], time.monotonic()]
    return {name: round(end - began, 3) for (name, began), end in zip(times.items(), ends, strict=True)}
