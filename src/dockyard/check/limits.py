"""Checks of how much a service may take that its program is known to need."""

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
"""Open files that programs want, by the last part of an image's name, as their own documentation asks for."""


@check("open-files", Severity.WARNING, "Fewer open files than the program wants")
def open_files(subject: Subject) -> Iterator[Found]:
    """It fails under load, when connections or tables need more files than it may open, and no Test sees that."""
    limit = subject.fleet.answers.open_files
    wanted = _wanted(subject)
    is_set = any(value.startswith("nofile=") for value in subject.values("ulimit"))
    if limit and wanted and limit < wanted[1] and subject.flags and not is_set:
        name, number = wanted
        message = f"each process gets {limit} open files on this host, and `{name}` wants {number}"
        yield Found(message, subject.said(ULIMITS), write=f"ulimits: nofile={number}")


def _wanted(subject: Subject) -> tuple[str, int] | None:
    """Return the program that an image or its base is known for, and how many files it wants to open."""
    base = subject.dockerfile.base if subject.dockerfile else ""
    plan = subject.production.plan if subject.production else None
    image = plan.image if plan else ""
    for reference in (image, base):
        name = reference.rpartition("/")[2].partition("@")[0].partition(":")[0]
        if name in NEEDS_OPEN_FILES:
            return name, NEEDS_OPEN_FILES[name]
    return None
