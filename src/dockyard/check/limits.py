"""Checks of limits that are lower than a well-known program needs."""

from collections.abc import Iterator

from dockyard.check.point import Found, Severity
from dockyard.check.registry import check
from dockyard.check.subject import Subject
from dockyard.settings.keys import ULIMITS

NEEDS_OPEN_FILES = {
    "cassandra": 100000,
    "clickhouse": 262144,
    "clickhouse-server": 262144,
    "dovecot": 8192,
    "elasticsearch": 65535,
    "haproxy": 8192,
    "kafka": 100000,
    "mariadb": 16384,
    "minio": 65536,
    "mongo": 64000,
    "mongodb": 64000,
    "mysql": 5000,
    "opensearch": 65536,
    "postfix": 8192,
    "rabbitmq": 65536,
}
"""Open files that programs need according to their documentation, by the last part of an image's name."""


@check("open-files", Severity.WARNING, "Fewer open files than the program needs")
def open_files(subject: Subject) -> Iterator[Found]:
    """It fails under load, when connections or tables need more open files than allowed; no Test shows that."""
    limit = subject.fleet.answers.open_files
    wanted = _wanted(subject)
    is_set = any(value.startswith("nofile=") for value in subject.values("ulimit"))
    if limit and wanted and limit < wanted[1] and subject.flags and not is_set:
        name, number = wanted
        message = f"a process may open {limit} files on this host, and `{name}` needs {number}"
        yield Found(message, subject.said(ULIMITS), write=f"ulimits: nofile={number}")


def _wanted(subject: Subject) -> tuple[str, int] | None:
    """Return the well-known program of an image or its base, and how many open files it needs."""
    base = subject.dockerfile.base if subject.dockerfile else ""
    plan = subject.production.plan if subject.production else None
    image = plan.image if plan else ""
    for reference in (image, base):
        name = reference.rpartition("/")[2].partition("@")[0].partition(":")[0]
        if name in NEEDS_OPEN_FILES:
            return name, NEEDS_OPEN_FILES[name]
    return None
