"""Telling people what is news: in the system's log, and by the addresses of `notify` in the host file.

What could not be told stays untold, and is tried again at the next time.
"""

import fcntl
import os
import socket
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dockyard.errors import DockyardError
from dockyard.notify import send
from dockyard.scan import alerts
from dockyard.scan.alert import SEVERITIES, Alert, News
from dockyard.scan.report import HIGH, LOW, MEDIUM
from dockyard.settings.keys import NOTIFY
from dockyard.settings.resolve import Settings
from dockyard.telling import warn
from dockyard.text import escaped

LOGGED = 20  # lines in the system's log at one time
LINES = 40  # of a message
NAMED = 3  # paths that are named where all are counted
LONGEST = 300  # characters of a line

LOG = Path("/dev/log")  # where the system's log listens

Group = tuple[str, str]
"""A container, and a directory in it."""


def tell(settings: Settings, news: Iterable[News] = ()) -> bool:
    """Tell what nobody was told yet; returns whether nothing is left to be told.

    What could not be kept is told from `news`, at each time anew.
    """
    unkept = [alert for one in news if not one.is_kept for alert in one.new]
    try:
        with _alone():
            waiting = alerts.untold()
            logged = _log([*waiting.log, *unkept])
            if logged:
                alerts.mark_told(waiting.log, logged=True)
            notified = _notify(settings, [*waiting.send, *unkept])
            if notified:
                alerts.mark_told(waiting.send, notified=True)
    except (DockyardError, OSError) as error:
        warn(f"alerts: {error}")
        return bool(unkept) and _log(unkept) and _notify(settings, unkept)
    return logged and notified


@contextmanager
def _alone() -> Iterator[None]:
    """Have no two scans tell the same."""
    place = alerts.path().with_suffix(".lock")
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


# --------------------------------------------------------------------------------------------------- the system's log
def _log(told: Sequence[Alert]) -> bool:
    """Write alerts to the system's log; returns whether it has them, or there is no such log."""
    if not told or not LOG.exists():
        return True
    import syslog

    if not _listens():
        warn(f"{LOG}: nobody listens there; alerts are logged at the next time")
        return False
    syslog.openlog("d-cowscan", syslog.LOG_PID, syslog.LOG_AUTHPRIV)
    levels = {HIGH: syslog.LOG_ALERT, MEDIUM: syslog.LOG_WARNING, LOW: syslog.LOG_NOTICE}
    for severity, line in log_lines(told):
        syslog.syslog(levels[severity], line)
    syslog.closelog()
    return True


def _listens() -> bool:
    """Return whether the system's log takes something: syslog(3) itself does not tell."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_UNIX, kind) as tried:
            tried.setblocking(False)
            if not tried.connect_ex(str(LOG)):
                return True
    return False


def log_lines(told: Sequence[Alert]) -> list[tuple[str, str]]:
    """Return a line for each alert with its severity, the worst first, up to a limit; what is left out is counted."""
    ranked = _ranked(told)
    lines = [(alert.severity, _cut(_line(alert))) for alert in ranked[:LOGGED]]
    rest = ranked[LOGGED:]
    return [*lines, *([(rest[0].severity, f"and {len(rest)} more alerts")] if rest else [])]


def _line(alert: Alert) -> str:
    place = f" {alert.shown}" if alert.path else ""
    told = f"{alert.severity} {alert.what}{place}: {escaped(str(alert.row['reason']))}"
    return f"{alert.fingerprint} {escaped(alert.container)}: {told}"


# ----------------------------------------------------------------------------------------------------------- messages
def _notify(settings: Settings, told: Sequence[Alert]) -> bool:
    """Send one message for all alerts; returns whether it reached somebody, or nobody wants to be notified."""
    if not told or not settings[NOTIFY]:
        return True
    return send(settings, title(told), "\n".join(message(told)))


def title(told: Sequence[Alert]) -> str:
    """Return what a message is about."""
    return f"dockyard on {socket.gethostname()}: {_counted(alert.severity for alert in told)} unexpected"


def message(told: Sequence[Alert]) -> list[str]:
    """Return the lines of a message, by container and directory, the worst first; what is left out is counted."""
    groups: defaultdict[Group, list[Alert]] = defaultdict(list)
    for alert in _ranked(told):
        groups[alert.container, os.path.dirname(alert.path)].append(alert)  # noqa: PTH120 - not of this host
    lines = [_cut(_group_line(group, members)) for group, members in groups.items()]
    room = LINES - 2
    if len(lines) > room:
        left = list(groups.values())[room - 1 :]
        lines = [*lines[: room - 1], f"and {sum(map(len, left))} more, in {len(left)} other directories"]
    return [*lines, "", "d-cowscan shows them; they stay raised until somebody acknowledges them: d-cowscan --ack"]


def _group_line(group: Group, members: Sequence[Alert]) -> str:
    if len(members) == 1:
        return _line(members[0])
    what = ", ".join(f"{count} {word}" for word, count in Counter(alert.what for alert in members).items())
    named = ", ".join(alert.shown for alert in members[:NAMED])
    more = f" and {len(members) - NAMED} more" if len(members) > NAMED else ""
    directory = escaped(group[1]) or "the container"
    return f"{escaped(group[0])}: {_counted(one.severity for one in members)}, {what} in {directory}: {named}{more}"


def _ranked(told: Iterable[Alert]) -> list[Alert]:
    return sorted(told, key=lambda one: (SEVERITIES.index(one.severity), one.container, one.path, one.fingerprint))


def _counted(severities: Iterable[str]) -> str:
    found = Counter(severities)
    return ", ".join(f"{found[severity]} {severity}" for severity in SEVERITIES if found[severity])


def _cut(line: str) -> str:
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
