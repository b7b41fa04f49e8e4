"""The results of a scan, for people and for machines."""

import base64
import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from dockyard.scan.attributes import OWNER
from dockyard.scan.layer import DELETED, EDITED, METADATA, NEW, REPLACED, TOUCHED, TYPE, Change
from dockyard.scan.running import RUNS
from dockyard.scan.undeclared import CONTAINER, UNDECLARED
from dockyard.text import escaped

OK, DRIFT, INCOMPLETE = "ok", "drift", "INCOMPLETE"
HIGH, MEDIUM, LOW = "high", "medium", "low"
ALL_OK = "all ok"
LISTED = 200  # findings of a container that are listed for people

SETUID, SETGID, ANY_EXECUTE, OTHERS_WRITE = 0o4000, 0o2000, 0o111, 0o002
PROGRAMS = ("/bin/", "/sbin/", "/lib/", "/lib64/", "/usr/", "/opt/")
CONFIGURATION = ("/etc/", "/root/", "/var/spool/cron/")


class Finding(NamedTuple):
    """An unexpected change, its severity and the reason; `difference` are lines of text, already escaped."""

    change: Change
    severity: str
    reason: str
    difference: tuple[str, ...] = ()

    def fingerprint(self, container: str) -> str:
        """Return a hash that identifies the finding, even if the file grows."""
        change = self.change
        told = (container, change.path, change.what, change.kind, change.mode, change.owner, change.attributes)
        why = change.detail if change.what in {UNDECLARED, RUNS} else ()
        return _hashed((*told, why))

    @property
    def group(self) -> str:
        """`changed` for differences in the layer; `runs` and `undeclared` for other findings."""
        return self.change.what if self.change.what in {UNDECLARED, RUNS} else "changed"

    def detail(self) -> list[str]:
        """Return what is different, in words."""
        change = self.change
        owners = f"owner {change.before[0]}:{change.before[1]} → {change.owner[0]}:{change.owner[1]}"
        return [owners if word == OWNER else word for word in change.detail]

    def line(self) -> str:
        """Return it for a person."""
        change = self.change
        facts = [change.kind]
        if change.what not in {DELETED, UNDECLARED}:
            facts += [f"{change.mode:04o} {change.owner[0]}:{change.owner[1]}"]
            facts += [f"{change.size} bytes"] if change.kind == "file" else []
        when = [time.strftime("since %Y-%m-%dT%H:%M:%SZ", time.gmtime(change.changed))] if change.changed else []
        told = ", ".join((*facts, *map(escaped, self.detail()), *when))
        return f"  {self.severity:6} {change.what:8} {escaped(change.path)}  ({told}): {self.reason}"

    def row(self, container: str) -> dict[str, Any]:
        """Return it for a machine; `path_base64` is there where the path is no UTF-8."""
        change = self.change
        raw = os.fsencode(change.path)
        exact = (
            {} if raw.decode("utf-8", "replace").encode() == raw else {"path_base64": base64.b64encode(raw).decode()}
        )
        return {
            "path": escaped(change.path) if exact else change.path,
            **exact,
            "group": self.group,
            "what": change.what,
            "kind": change.kind,
            "severity": self.severity,
            "reason": self.reason,
            "size": change.size,
            "mode": f"{change.mode:04o}",
            "owner": list(change.owner),
            "changed": change.changed,
            "links": change.links,
            "detail": [escaped(word) for word in self.detail()],
            "difference": list(self.difference),
            "fingerprint": self.fingerprint(container),
        }


def _hashed(told: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(told).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def judged(change: Change) -> Finding:
    """Return the severity of a change: first what can give privileges, then what can run, then configuration."""
    path = change.path
    degree = _degree(
        change.what,
        change.kind,
        change.mode,
        change.attributes,
        path.startswith(CONFIGURATION),
        path.startswith(PROGRAMS),
    )
    return Finding(change, degree.severity, degree.reason)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings in the order in which they are listed."""
    return sorted(findings, key=lambda one: ((HIGH, MEDIUM, LOW).index(one.severity), one.change.path))


class _Traits(NamedTuple):
    """The properties of a change that determine its severity."""

    what: str
    kind: str
    mode: int
    attributes: tuple[str, ...]
    is_configuration: bool
    is_among_programs: bool


class _Degree(NamedTuple):
    """The severity of changes that are one of `what`, of one of `kinds` (none: any), and to which `applies` applies."""

    severity: str
    reason: str
    what: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    applies: Callable[[_Traits], bool] = lambda _: True


@lru_cache(maxsize=1024)
def _degree(*of: Any) -> _Degree:  # noqa: ANN401 - what _Traits has: there may be very many changes that have the same
    traits = _Traits(*of)
    fitting = (
        degree
        for degree in _DEGREES
        if traits.what in (degree.what or {traits.what})
        and traits.kind in (degree.kinds or {traits.kind})
        and degree.applies(traits)
    )
    return next(fitting)  # the last degree is for whatever is left


def _gives_rights(traits: _Traits) -> bool:
    return bool(traits.mode & (SETUID | SETGID)) or "security.capability" in traits.attributes


def _can_be_run(traits: _Traits) -> bool:
    return bool(traits.mode & ANY_EXECUTE)


def _is_open_to_all(traits: _Traits) -> bool:
    return bool(traits.mode & OTHERS_WRITE)


def _steers(traits: _Traits) -> bool:
    return traits.is_configuration


def _is_among_programs(traits: _Traits) -> bool:
    return traits.is_among_programs


_FILE, _CHANGED = frozenset(("file",)), frozenset((EDITED, REPLACED))
_THERE = frozenset((NEW, REPLACED, EDITED, METADATA, TYPE))
_DEGREES = (
    _Degree(HIGH, "it runs code that is not from the image", frozenset((RUNS,))),
    _Degree(MEDIUM, "no source declares this container", frozenset((UNDECLARED,)), frozenset((CONTAINER,))),
    _Degree(HIGH, "its source does not declare it", frozenset((UNDECLARED,))),
    _Degree(LOW, "it was touched, but is identical to the image", frozenset((TOUCHED,))),
    _Degree(HIGH, "it gives privileges to any user who runs it", _THERE, _FILE, _gives_rights),
    _Degree(HIGH, "a device", _THERE, frozenset(("device",))),
    _Degree(HIGH, "it is executable, and the image does not have it", _THERE - {METADATA}, _FILE, _can_be_run),
    _Degree(HIGH, "any user can write there", frozenset((METADATA,)), frozenset(("directory",)), _is_open_to_all),
    _Degree(HIGH, "it controls what runs, and as which user", _CHANGED, applies=_steers),
    _Degree(MEDIUM, "it controls what runs, and as which user", applies=_steers),
    _Degree(MEDIUM, "it is in a directory of programs and libraries", applies=_is_among_programs),
    _Degree(MEDIUM, "it is part of the image", frozenset((DELETED, TYPE))),
    _Degree(LOW, "no rule covers it"),
)


class Scanned(NamedTuple):
    """One container's scan: `unjudged` are reasons with counts; `example` has a path for each, if there is one.

    `omitted` counts the findings that exceeded the limit; `how` the snapshot was kept consistent is one of `reading`'s
    words, `paused` the seconds for which the container was frozen. `proven` are the kinds of canary changes that the
    scan found. `used` counts the changes that each rule covered, `accepted` the acknowledged findings.
    """

    name: str
    id: str
    findings: tuple[Finding, ...] = ()
    unjudged: Mapping[str, int] = {}
    example: Mapping[str, str] = {}
    entries: int = 0
    seconds: float = 0.0
    omitted: int = 0
    how: str = ""
    paused: float = 0.0
    proven: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    used: Mapping[Any, int] = {}
    accepted: int = 0

    @property
    def verdict(self) -> str:
        """`drift` if there is any, INCOMPLETE if something could not be judged, otherwise `ok`."""
        told = [finding for finding in self.findings if finding.change.what != TOUCHED]
        return DRIFT if told or self.omitted else INCOMPLETE if self.unjudged else OK

    def without(self, accepted: Collection[str]) -> "Scanned":
        """Return it without the acknowledged findings, given by fingerprint."""
        left = tuple(finding for finding in self.findings if finding.fingerprint(self.name) not in accepted)
        return self._replace(findings=left, accepted=len(self.findings) - len(left))

    def lines(self) -> list[str]:
        """Return it for a person; empty if there is nothing to report."""
        if not self.findings and not self.unjudged:
            return []
        name = escaped(self.name)
        found = worst_first(self.findings)
        lines = [f"{name}: {len(found) + self.omitted} unexpected"] if found else []
        for finding in found[:LISTED]:
            lines += [finding.line(), *(f"      {line}" for line in finding.difference)]
        if len(found) + self.omitted > LISTED:
            lines.append(f"  and {len(found) + self.omitted - LISTED} more (--json lists {len(found)})")
        for reason, count in self.unjudged.items():
            where = f", such as {escaped(self.example[reason])}" if self.example.get(reason) else ""
            lines.append(f"{name}: INCOMPLETE: {escaped(reason)} ({count}{where})")
        return lines

    def row(self) -> dict[str, Any]:
        """Return it for a machine."""
        unjudged = [
            {"reason": reason, "count": count, "example": escaped(self.example.get(reason, ""))}
            for reason, count in self.unjudged.items()
        ]
        return {
            "container": self.name,
            "id": self.id,
            "verdict": self.verdict,
            "findings": [finding.row(self.name) for finding in self.findings],
            "omitted": self.omitted,
            "accepted": self.accepted,
            "incomplete": unjudged,
            "entries": self.entries,
            "seconds": round(self.seconds, 4),
            "consistent": self.how,
            "paused_ms": round(self.paused * 1000, 3),
            "proven": list(self.proven),
            "notes": [escaped(note) for note in self.notes],
        }


def verdict(scanned: list[Scanned]) -> str:
    """Return the verdict on all: drift is reported even if the rest could not be judged."""
    found = {one.verdict for one in scanned}
    return DRIFT if DRIFT in found else INCOMPLETE if INCOMPLETE in found else OK
