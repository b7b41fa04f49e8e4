"""The reference of a switch: the planned steps, and what the next command does if the switch ends after each of them.

The steps are simulated on containers that are only names; the effect of an interruption is the plan of recovery.
"""

from collections.abc import Iterator

from dockyard.docs.table import page, table
from dockyard.engine.dialect import DOCKER
from dockyard.engine.models import LAUNCH_LABEL, MODE_LABEL, SERVICE_LABEL, Container, Image, Network
from dockyard.plan.facts import Facts, HostFacts
from dockyard.plan.launch import LaunchOptions, LaunchPlan, plan_launch, questions
from dockyard.plan.switch import FINISHED, UNDONE, SwitchPlan, SwitchStep, Tags, plan_recovery, plan_switch
from dockyard.plan.values import Command
from dockyard.settings.keys import IMAGE, NAME, START_FIRST
from dockyard.settings.resolve import Value, resolve
from dockyard.settings.values import Mode

NAME_SHOWN, NEW, OLD = "web", "1" * 64, "0" * 64
PRODUCTION = {SERVICE_LABEL: NAME_SHOWN, MODE_LABEL: Mode.PROD.value}
Containers = dict[str, Container]


def switching_page() -> str:
    """Return the reference of a switch."""
    head = ("step", "containers afterwards", "if it is interrupted here, the next command")
    return page(
        "The states of a switch",
        _INTRODUCTION,
        f"## Replacing a running container\n\n{table(head, _rows(*replacing()))}",
        f"## The same with `start_first`\n\n{_STARTS_FIRST}\n{table(head, _rows(*replacing(start_first=True)))}",
        f"## If nothing is running\n\n{_NOTHING_UP}\n{table(head, _rows(_plan(None), None))}",
    )


def replacing(*, start_first: bool = False) -> tuple[SwitchPlan, Container]:
    """Return a switch from a container that is up, and that container."""
    old = Container("old", NAME_SHOWN, "running", OLD, labels=PRODUCTION)
    return _plan(old, start_first=start_first), old


def _plan(old: Container | None, *, start_first: bool = False) -> SwitchPlan:
    tags = Tags(f"ktools/{NAME_SHOWN}", OLD, "")
    return plan_switch(_launch(start_first=start_first), old, tags, DOCKER, image="NEW", test_production=True)


def _launch(*, start_first: bool) -> LaunchPlan:
    named = Value(NAME_SHOWN, "")
    settings = resolve([{START_FIRST.name: Value(start_first, "")}], Mode.PROD, {NAME.name: named, IMAGE.name: named})
    options = LaunchOptions(directory=f"/srv/services/{NAME_SHOWN}")
    asked = questions(NAME_SHOWN, settings, options, DOCKER, "host")
    host = HostFacts("host", "UTC")
    network = Network(asked.network, "bridge") if asked.network else None
    facts = Facts(dialect=DOCKER, host=host, images={asked.images[0]: Image(NEW)}, network=network)
    return plan_launch(NAME_SHOWN, settings, facts, options).labelled({LAUNCH_LABEL: ""})


def _rows(plan: SwitchPlan, old: Container | None) -> Iterator[list[str]]:
    for step, containers in states(plan, old):
        yield [_step(step), _state(containers), _end(containers)]


def states(plan: SwitchPlan, old: Container | None) -> Iterator[tuple[SwitchStep, Containers]]:
    """Yield each step with the containers that exist after it."""
    there: Containers = {old.name: old} if old else {}
    for step in plan.steps:
        if isinstance(step, Command):
            there = _after(step.argv, there)
        yield step, there


def _after(argv: tuple[str, ...], there: Containers) -> Containers:
    """Return the containers after a command of the engine."""
    match argv:
        case ("create", *rest):
            name = rest[rest.index("--name") + 1]
            labels = dict(word.partition("=")[::2] for word in rest if word.startswith("dockyard."))
            return {**there, name: Container("new", name, "created", NEW, labels={**labels, **PRODUCTION})}
        case ("rename", before, after):
            return {
                (after if name == before else name): one._replace(name=after if name == before else name)
                for name, one in there.items()
            }
        case ("start" | "stop" as verb, name):
            return {**there, name: there[name]._replace(status="running" if verb == "start" else "exited")}
        case ("rm", name):
            return {other: one for other, one in there.items() if other != name}
        case _:
            return there


def _step(step: SwitchStep) -> str:
    """Return a step as a dry run prints it, without the long flags of a creation."""
    text = step.shell("docker").removeprefix("# ")
    if isinstance(step, Command) and step.argv[0] == "create":
        text = f"docker create --name {step.argv[step.argv.index('--name') + 1]} … NEW"
    return f"`{text.replace(OLD, 'OLD').replace(NEW, 'NEW').replace('sha256:', '')}`"


def _state(containers: Containers) -> str:
    """Return the containers in words: `web` old, up; `web.next` new, created."""
    words = {"running": "up", "exited": "stopped"}
    told = (
        f"`{name}` {'new' if one.image_id == NEW else 'old'}, {words.get(one.status, one.status)}"
        for name, one in sorted(containers.items())
    )
    return "; ".join(told)


def _end(containers: Containers) -> str:
    """Return what the next command does if a switch was interrupted in this state."""
    recovery = plan_recovery(NAME_SHOWN, containers, DOCKER)
    steps = [_step(step) for step in (*recovery.first, *recovery.then)]
    meaning = {UNDONE: "rolls back: ", FINISHED: "continues: ", "": "does nothing"}
    return meaning[recovery.verdict] + ", ".join(steps)


_INTRODUCTION = """\
These are the steps that replace production's container, as `d upgrade -n web` prints them. The tables show the
containers after each step, and what the next `d` command does if d, its child processes or the engine are killed at
that point. [How an upgrade works](../explanation/upgrade.md) explains why. The steps are those for Docker; for podman,
only flags differ, except with `start_first`.
"""

_STARTS_FIRST = """\
The new container starts on the network `none`. It leaves that network just before the old one stops, and joins its
own just after: until then it has no connections. With podman, the old one stops first all the same, as above.
"""

_NOTHING_UP = "There is nothing to roll back to, so the tags change first, and recovery always continues.\n"
