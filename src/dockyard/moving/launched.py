"""A launch, taken from its plan, in the form that other ways of launching are written from. Pure."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dockyard.plan.launch import LaunchPlan
from dockyard.plan.values import Command, Secret
from dockyard.settings.keys import AUTOSTART

SWITCHES = {
    "detach",
    "init",
    "interactive",
    "no-healthcheck",
    "oom-kill-disable",
    "privileged",
    "publish-all",
    "read-only",
    "rm",
    "tty",
}
"""Flags of the engine's `run` that take no value."""
_SHORT = {
    "d": "detach",
    "e": "env",
    "h": "hostname",
    "i": "interactive",
    "l": "label",
    "m": "memory",
    "p": "publish",
    "P": "publish-all",
    "t": "tty",
    "u": "user",
    "v": "volume",
    "w": "workdir",
}
_OTHER_NAMES = {"net": "network", "net-alias": "network-alias", "dns-opt": "dns-option"}
OWN_LABELS = "dockyard."


class Word(NamedTuple):
    """A flag of the engine, by its long name, with its value."""

    flag: str
    value: str

    @property
    def text(self) -> str:
        """The flag as one word."""
        return f"--{self.flag}" if self.flag in SWITCHES and self.value == "true" else f"--{self.flag}={self.value}"


class Launched(NamedTuple):
    """One launch: `wave` is None where it does not start by itself, `before` what is done on the host first."""

    service: str
    name: str
    image: str
    words: tuple[Word, ...]
    command: tuple[str, ...]
    secrets: tuple[Secret, ...]
    before: tuple[str, ...]
    wave: int | None

    def last(self, flag: str) -> str:
        """Return the value of a flag that counts once; empty where it is not there."""
        return next((word.value for word in reversed(self.words) if word.flag == flag), "")

    @property
    def has_health_check(self) -> bool:
        """Whether it says itself how its health is checked."""
        return bool(self.last("health-cmd"))


def launched(plan: LaunchPlan) -> Launched:
    """Return a launch from its plan, without what marks it as dockyard's own."""
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


def words_of(argv: Sequence[str]) -> Iterator[Word]:
    """Yield the flags of a `run`, however they are written."""
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            name = _OTHER_NAMES.get(name, name)
            yield Word(name, value if equals else "true" if name in SWITCHES else rest.pop(0) if rest else "")
        elif word.startswith("-"):
            yield from _cluster(word[1:], rest)


def _cluster(letters: str, rest: list[str]) -> Iterator[Word]:
    """Yield the flags of one word with a single dash; the last of them may have its value in the next."""
    while letters:
        name, letters = _SHORT.get(letters[0], letters[0]), letters[1:]
        if name in SWITCHES:
            yield Word(name, "true")
        else:
            yield Word(name, letters.removeprefix("=") or (rest.pop(0) if rest else ""))
            return


class UnsayableError(Exception):
    """The target has no word for it; the text says why, or what comes nearest."""


def earlier(one: Launched, others: Sequence[Launched]) -> list[Launched]:
    """Return the launches that one's wave comes right after."""
    before = [other for other in others if other.wave is not None and one.wave is not None and other.wave < one.wave]
    latest = max((other.wave for other in before if other.wave is not None), default=None)
    return [other for other in before if other.wave == latest]
