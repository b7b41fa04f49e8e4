"""Which updates failed: how the last `upgrade-all` ended for each service, and what was done to services since."""

import json
import time
from calendar import timegm
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dockyard.monitoring.problems import UpdateFacts, explaining_line
from dockyard.secrets import state_directory
from dockyard.state_file import write_file
from dockyard.telling import warn

if TYPE_CHECKING:
    from dockyard.fleet.crew import Done
    from dockyard.history import Event

ACTIONS = ("build", "trim", "test", "scan", "upgrade", "promote", "rollback", "adopt")
"""What the history has of an update, and what ends the reason for a failed one."""

OK, FAILED, HELD, SKIPPED = "ok", "failed", "held", "skipped"


class Outcome(NamedTuple):
    """How an update ended, when (in seconds of the epoch), and why."""

    when: float
    result: str
    reason: str = ""


def update_facts(
    newest: Mapping[str, Outcome], last_run: Mapping[str, Outcome]
) -> tuple[list[UpdateFacts], frozenset[str]]:
    """Return which updates failed, and the services of which that is not known.

    `newest` is from the history. What `upgrade-all` found later counts more: that a service is up to date is no event.
    """
    outcomes = {**newest, **{name: one for name, one in last_run.items() if _is_later(one, newest.get(name))}}
    facts = [UpdateFacts(name, one.reason) for name, one in sorted(outcomes.items()) if one.result == FAILED]
    return facts, frozenset(name for name, one in outcomes.items() if one.result == SKIPPED)


def _is_later(run: Outcome, event: Outcome | None) -> bool:
    """Return whether a run ended later than an event, whose time is in whole seconds."""
    return not event or int(run.when) > event.when


def reason_of(done: "Done") -> str:
    """Return why the work on a service failed, with the line of its output that explains it."""
    line = explaining_line(done.output.splitlines())
    return done.reason if not line or line in done.reason else f"{done.reason}: {line}"


def outcome_of(event: "Event") -> Outcome:
    """Return what the history says of an update."""
    when = float(timegm(time.strptime(event.when, "%Y-%m-%dT%H:%M:%SZ")))
    return Outcome(when, OK if event.result != FAILED else FAILED, str(event.detail.get("reason", "")))


# ------------------------------------------------------------------------------------------------- the last upgrade-all
def path() -> Path:
    """Return where the outcome of the last `upgrade-all` is stored."""
    return state_directory() / "last-upgrade.json"


def save_last_run(finished: Iterable["Done"], now: float) -> None:
    """Store how an `upgrade-all` ended; that it cannot be stored is reported, and stops nothing."""
    ended = {OK, HELD, SKIPPED}
    rows = {
        done.name: Outcome(
            now, done.result if done.result in ended else FAILED, "" if done.result == OK else reason_of(done)
        )
        for done in finished
    }
    try:
        write_file(path(), json.dumps(rows))
    except OSError as error:
        warn(f"{path()}: the outcome of this run could not be stored: {error.strerror}")


def last_run() -> dict[str, Outcome]:
    """Return how the last `upgrade-all` ended, by service; nothing if there was none, or it cannot be read."""
    try:
        rows = json.loads(path().read_text(encoding="utf-8"))
        return {name: Outcome(*row) for name, row in rows.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        warn(f"{path()}: it cannot be read: {error}")
        return {}
