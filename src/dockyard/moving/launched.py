"""A launch, taken from its plan, in the form that exports are written from. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from dockyard.plan.flags import Word, words_of
from dockyard.plan.launch import LaunchPlan
from dockyard.plan.values import Command, Secret
from dockyard.settings.keys import AUTOSTART

OWN_LABELS = "dockyard."


class Launched(NamedTuple):
    """One launch: `wave` is None without autostart, `before` are the commands to run on the host first."""

    service: str
    name: str
    image: str
    words: tuple[Word, ...]
    command: tuple[str, ...]
    secrets: tuple[Secret, ...]
    before: tuple[str, ...]
    wave: int | None

    def last(self, flag: str) -> str:
        """Return the last value of a flag; empty if it is not set."""
        return next((word.value for word in reversed(self.words) if word.flag == flag), "")

    @property
    def has_health_check(self) -> bool:
        """Whether its flags set a health check."""
        return bool(self.last("health-cmd"))


def launched(plan: LaunchPlan) -> Launched:
    """Return a launch from its plan, without dockyard's labels."""
    image, *command = plan.argv[len(plan.flags) :]
    wave = plan.settings[AUTOSTART]
    own = tuple(word for word in words_of(plan.flags[1:]) if not _is_own(word))
    return Launched(
        service=plan.service,
        name=plan.name,
        image=image,
        words=own,
        command=tuple(command),
        secrets=plan.secrets,
        before=tuple(step.shell("") for step in plan.steps if not isinstance(step, Command)),
        wave=wave.number if wave else None,
    )


def _is_own(word: Word) -> bool:
    return word.flag in {"detach", "name"} or (word.flag == "label" and word.value.startswith(OWN_LABELS))


class UnsayableError(Exception):
    """The target cannot express it; the text says why, or what comes nearest."""


def earlier(one: Launched, others: Sequence[Launched]) -> list[Launched]:
    """Return the launches of the wave before that of one."""
    before = [other for other in others if other.wave is not None and one.wave is not None and other.wave < one.wave]
    latest = max((other.wave for other in before if other.wave is not None), default=None)
    return [other for other in before if other.wave == latest]
