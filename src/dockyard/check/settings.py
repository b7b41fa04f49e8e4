"""Checks of settings: those that cannot be read, or cannot be launched."""

from collections.abc import Iterator

from dockyard.check.point import Found, Severity, Unknown
from dockyard.check.registry import check
from dockyard.check.subject import Launch, Subject
from dockyard.errors import Problem
from dockyard.plan.launch import image_candidates
from dockyard.plan.network import can_pin, network_name
from dockyard.plan.switch import STOP_FIRST
from dockyard.settings.keys import IP, NETWORK, START_FIRST


@check("settings", Severity.ERROR, "Settings that cannot be used")
def settings(subject: Subject) -> Iterator[Found]:
    """This service is not built, tested or launched until its settings can be read."""
    yield from (_found(problem) for problem in subject.problems)


@check("launch-refused", Severity.ERROR, "A launch that would be refused")
def launch_refused(subject: Subject) -> Iterator[Found]:
    """Production cannot be launched with these settings."""
    yield from _refused(subject.production)


@check("start-first", Severity.ERROR, "A container that cannot start first")
def start_first(subject: Subject) -> Iterator[Found]:
    """Upgrades are refused: the new container cannot run beside the old one, or cannot join its network later."""
    launch = subject.production
    if launch and launch.plan:
        where = launch.settings.value(START_FIRST).source
        yield from (Found(reason, where, hint=STOP_FIRST) for reason in launch.plan.alone)


@check("test-refused", Severity.ERROR, "A test instance that would be refused")
def test_refused(subject: Subject) -> Iterator[Found]:
    """A service whose test instance cannot be launched is not tested, so no new version is deployed."""
    told = {problem.where or problem.message for problem in subject.production.refusals} if subject.production else {}
    yield from (found for found in _refused(subject.test) if (found.where or found.message) not in told)


def _refused(launch: Launch | None) -> Iterator[Found]:
    yield from (_found(problem) for problem in launch.refusals) if launch else ()


def _found(problem: Problem) -> Found:
    return Found(problem.message, problem.where, hint=problem.hint)


@check("image-missing", Severity.ERROR, "No image to launch")
def image_missing(subject: Subject) -> Iterator[Found | Unknown]:
    """There is nothing to launch. An image that dockyard does not build must be pulled or loaded first."""
    if subject.fleet.answers.silence or subject.image or not subject.settings:
        return
    wanted = image_candidates(subject.settings)
    if subject.service.is_buildable:
        yield Unknown(f"its image: it does not exist yet ({wanted[0]})")
    else:
        names = ", ".join(wanted)
        yield Found(f"image {names} does not exist, and cannot be built here", hint="pull it, or correct `image`")


@check("network-missing", Severity.ERROR, "A network that does not exist", stops=True)
def network_missing(subject: Subject) -> Iterator[Found | Unknown]:
    """The engine refuses to start a container in a network that does not exist."""
    answers = subject.fleet.answers
    for launch in (subject.production, subject.test):
        if not launch or not can_pin(launch.settings, answers.dialect.bridge_pins_addresses):
            continue
        name, source = network_name(launch.settings), launch.settings.value(NETWORK).source
        if answers.silence and name != "bridge":
            yield Unknown(f"whether the network `{name}` exists")
        elif name != "bridge" and name not in answers.networks:
            where = "" if source == "default" else source
            yield Found(
                f"the network `{name}` does not exist", where, hint=f"{answers.dialect.name} network create {name}"
            )


@check("launch-note", Severity.NOTE, "A note of the launch")
def launch_note(subject: Subject) -> Iterator[Found]:
    """Production would be launched, but not exactly as its settings say."""
    launch = subject.production
    plan = launch.plan if launch and not launch.unreadable else None
    for note in plan.notes if plan else ():
        pinned = note.startswith("ip: ") and len(note.split()) == 2  # noqa: PLR2004 - it has the address asked for
        by_default = note.startswith("ip: ") and plan and plan.settings.value(IP).source == "default"
        if not pinned and not by_default:
            yield Found(note)
