"""One alert: a finding of a container that stays raised until somebody has accepted it."""

import base64
import hashlib
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from dockyard.scan.layer import DELETED
from dockyard.scan.report import HIGH, LOW, MEDIUM
from dockyard.text import escaped

INCOMPLETE, MORE = "incomplete", "more"
"""What an alert says that is of no one finding: that not all could be judged; that there are too many to keep each."""

if TYPE_CHECKING:
    from dockyard.scan.summary import Summary

SEVERITIES = (HIGH, MEDIUM, LOW)
LONGEST = 4096  # characters of a path that are kept
DETAILS, DETAIL = 20, 200  # details that are kept, and characters of each

Row = Mapping[str, Any]
"""A finding as machines read it."""


class Alert(NamedTuple):
    """A finding that was told; times are in seconds of the epoch.

    `gone` is since when it is no longer there, `acknowledged` when `by` accepted it, and `why`; `identifier` is the
    container's id when it was seen.
    """

    container: str
    fingerprint: str
    identifier: str
    row: Row
    since: float
    gone: float | None = None
    acknowledged: float | None = None
    by: str = ""
    why: str = ""

    @property
    def severity(self) -> str:
        """How bad it may be."""
        return str(self.row["severity"])

    @property
    def path(self) -> str:
        """Where; empty for what is of the whole container."""
        return str(self.row.get("path", ""))

    @property
    def shown(self) -> str:
        """The path fit to print."""
        exact = self.row.get("path_base64")
        return escaped(os.fsdecode(base64.b64decode(exact)) if exact else self.path)

    @property
    def what(self) -> str:
        """What has become of it."""
        return str(self.row["what"])

    def line(self) -> str:
        """Return it for a person."""
        gone = f", gone since {_clock(self.gone)}" if self.gone else ""
        place = f" {self.shown}" if self.path else ""
        told = f"{self.severity} {self.what}{place}: {escaped(str(self.row['reason']))}"
        return f"{self.fingerprint} {escaped(self.container)}: {told} (since {_clock(self.since)}{gone})"

    def data(self) -> dict[str, Any]:
        """Return it for a machine."""
        facts = self._asdict()
        return {**facts.pop("row"), **facts}


class News(NamedTuple):
    """What a scan of a container adds: alerts that are new, and fingerprints of findings that somebody has accepted.

    Where it could not be kept (`is_kept`), all that was found is new. `earlier` summarizes what is raised of the
    container and was not found by this scan.
    """

    container: str
    new: tuple[Alert, ...] = ()
    accepted: frozenset[str] = frozenset()
    is_kept: bool = True
    earlier: "Summary | None" = None


def _clock(when: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))


def hashed(*words: object) -> str:
    """Return a short hash of words that no others have."""
    return hashlib.sha256(repr(words).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def state(row: Row) -> str:
    """Return what changes with a finding of the same fingerprint; nobody in a container can set `changed` back.

    A directory changes with what is in it, and a deletion's time is that of the directory: they are told by themselves.
    """
    if row["kind"] == "directory" or row["what"] == DELETED:
        return ""
    return hashed(row.get("size"), row.get("changed"), row.get("detail"), row.get("count"))


def fitted(row: Row) -> dict[str, Any]:
    """Return a row of bounded size: what is too long in it is cut, and `cut` says so."""
    found = dict(row)
    if len(str(row.get("path", ""))) > LONGEST:
        found |= {"path": f"{row['path'][:LONGEST]}…", "cut": True}
        found.pop("path_base64", None)
    details = list(row.get("detail", ()))
    if len(details) > DETAILS or any(len(str(word)) > DETAIL for word in details):
        found |= {"detail": [str(word)[:DETAIL] for word in details[:DETAILS]], "cut": True}
    return found


def incomplete(container: str, reason: str) -> dict[str, Any]:
    """Return the row that says why not all of a container could be judged."""
    return _own(INCOMPLETE, MEDIUM, reason, (container, INCOMPLETE, reason))


def more(container: str, rows: list[Row]) -> dict[str, Any]:
    """Return the row for findings that are too many to be kept one by one."""
    worst = min((row["severity"] for row in rows), key=SEVERITIES.index)
    reason = f"and {len(rows)} more that are not stored one by one"
    told = _own(MORE, worst, reason, (container, MORE))
    return {**told, "count": len(rows), "detail": [hashed(*sorted(row["fingerprint"] for row in rows))]}


def _own(what: str, severity: str, reason: str, words: tuple[str, ...]) -> dict[str, Any]:
    told = {"path": "", "what": what, "kind": "container", "severity": severity, "reason": reason, "detail": []}
    return {**told, "fingerprint": hashed(*words)}
