"""From problems to messages: one for each problem that is new, one when it is resolved, none in between.

Nothing here touches the outside or reads a clock.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from dockyard.monitoring.problems import PENDING, Findings, Problem
from dockyard.notify import INFO, SUCCESS
from dockyard.text import printable

MAX_MESSAGES = 10  # of one run; the others are in one more
_SEVERITIES = ("failure", "warning", "info", "success")


class Notified(NamedTuple):
    """A problem of which people were notified, and since when it is known, in seconds of the epoch."""

    problem: Problem
    since: float


class Message(NamedTuple):
    """What is sent, if it has a title.

    Once it was, the problems `begun` are known, and those of the keys `ended` are not any more.
    """

    title: str
    body: str
    severity: str
    begun: Sequence[Problem] = ()
    ended: Sequence[str] = ()


def messages(
    host: str,
    findings: Findings,
    known: Mapping[str, Notified],
    now: float,
    is_covered: Callable[[str], bool] = lambda _key: True,
) -> list[Message]:
    """Return what to send, the worst first.

    `is_covered`: the keys of which the findings say something at all; others are left as they are known.
    """
    there = {problem.key: problem for problem in findings.problems}
    begun = [_begun(host, problem) for key, problem in there.items() if key not in known]
    ended = [
        _resolved_message(host, known[key], now)
        for key in known
        if key not in there and is_covered(key) and not findings.is_unknown(key)
    ]
    every = sorted([*begun, *ended], key=lambda message: _SEVERITIES.index(message.severity))
    silent, sent = [one for one in every if not one.title], [one for one in every if one.title]
    if len(sent) <= MAX_MESSAGES:
        return [*silent, *sent]
    return [*silent, *sent[:MAX_MESSAGES], _combine(host, sent[MAX_MESSAGES:])]


def _begun(host: str, problem: Problem) -> Message:
    title = f"dockyard on {host}: {problem.subject} {problem.text}" if _is_clause(problem) else _title(host, problem)
    lines = [
        problem.line(),
        f"production runs: {problem.running}" if problem.running else "",
        f"next: {problem.hint}" if problem.hint else "",
    ]
    return Message(printable(title), _body(host, lines), problem.severity, begun=(problem,))


def _is_clause(problem: Problem) -> bool:
    """Return whether the text continues a sentence that begins with the subject."""
    return problem.text.startswith(("is ", "does "))


def _title(host: str, problem: Problem) -> str:
    return f"dockyard on {host}: {problem.subject}: {problem.text}"


def _resolved_message(host: str, notified: Notified, now: float) -> Message:
    """Return what is sent when a problem is resolved: nothing for a newer version, which is applied or was replaced."""
    problem = notified.problem
    if problem.key.startswith(f"{PENDING}:"):
        return Message("", "", INFO, ended=(problem.key,))
    text = f"resolved after {_duration(now - notified.since)}: {problem.text}"
    title = f"dockyard on {host}: {problem.subject}: {text}"
    return Message(printable(title), _body(host, [f"{problem.subject}: {text}"]), SUCCESS, ended=(problem.key,))


def _combine(host: str, rest: Sequence[Message]) -> Message:
    body = "\n".join(message.body.partition("\n")[0] for message in rest)
    begun = [problem for message in rest for problem in message.begun]
    ended = [key for message in rest for key in message.ended]
    return Message(f"dockyard on {host}: {len(rest)} more changes", body, rest[0].severity, begun, ended)


def _body(host: str, lines: Sequence[str]) -> str:
    return "\n".join(printable(line) for line in [*filter(None, lines), f"host: {host}"])


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def after(known: Mapping[str, Notified], sent: Message, now: float) -> dict[str, Notified]:
    """Return what is known once a message was sent."""
    left = {key: value for key, value in known.items() if key not in sent.ended}
    return {**left, **{problem.key: Notified(problem, now) for problem in sent.begun}}
