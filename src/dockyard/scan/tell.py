"""Telling people what is news: in the system's log, and by the addresses of `notify` in the host file.

What could not be told stays untold, and is tried again at the next time.
"""

import socket
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from dockyard.errors import DockyardError
from dockyard.masking import known
from dockyard.notify import FAILURE, INFO, WARNING, send
from dockyard.scan import alert_store, alerts
from dockyard.scan.alert import Alert, News
from dockyard.scan.report import HIGH, LOW, MEDIUM
from dockyard.scan.summary import by_directory, count_severities, group_of, rank_alerts
from dockyard.settings.keys import NOTIFY
from dockyard.settings.resolve import Settings
from dockyard.state_file import locked_file
from dockyard.telling import warn
from dockyard.text import escaped

LOGGED = 20  # lines in the system's log at one time
LINES = 40  # of a message
LONGEST = 300  # characters of a line

LOG = Path("/dev/log")  # where the system's log listens

SENT_AS = {HIGH: FAILURE, MEDIUM: WARNING, LOW: INFO}


def tell(settings: Settings, news: Iterable[News] = ()) -> bool:
    """Tell what nobody was told yet; returns whether nothing is left to be told.

    What could not be kept is told from `news`, at each time anew.
    """
    unkept = [alert for one in news if not one.is_kept for alert in one.new]
    try:
        with locked_file(alert_store.path().with_suffix(".lock")):  # no two scans send the same
            waiting = alerts.untold()
            logged = _log([*waiting.log, *unkept], waiting.more_to_log)
            if logged:
                alerts.mark_told(waiting.log, logged=True, until=waiting.last if waiting.more_to_log else 0)
            notified = _notify(settings, [*waiting.send, *unkept], waiting.more_to_send)
            if notified:
                alerts.mark_told(waiting.send, notified=True, until=waiting.last if waiting.more_to_send else 0)
    except (DockyardError, OSError) as error:
        warn(f"alerts: {error}")
        return bool(unkept) and _log(unkept) and _notify(settings, unkept)
    return logged and notified


# --------------------------------------------------------------------------------------------------- the system's log
def _log(told: Sequence[Alert], more: int = 0) -> bool:
    """Write alerts to the system's log; returns whether it has them, or there is no such log."""
    if not told or not LOG.exists():
        return True
    import syslog

    if not _listens():
        warn(f"{LOG}: no system logger is listening; the alerts are logged next time")
        return False
    syslog.openlog("d-cowscan", syslog.LOG_PID, syslog.LOG_AUTHPRIV)
    levels = {HIGH: syslog.LOG_ALERT, MEDIUM: syslog.LOG_WARNING, LOW: syslog.LOG_NOTICE}
    for severity, line in log_lines(told, more):
        syslog.syslog(levels[severity], known.hide(line))
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


def log_lines(told: Sequence[Alert], more: int = 0) -> list[tuple[str, str]]:
    """Return a line for each alert with its severity, the worst first, up to a limit; what is left out is counted.

    `more` were not even read.
    """
    worst_first = rank_alerts(told)
    lines = [(alert.severity, _cut(_line(alert))) for alert in worst_first[:LOGGED]]
    rest = worst_first[LOGGED:]
    count = len(rest) + more
    return [*lines, *([((rest or worst_first)[0].severity, f"and {count} more alerts")] if count else [])]


def _line(alert: Alert) -> str:
    place = f" {alert.shown}" if alert.path else ""
    told = f"{alert.severity} {alert.what}{place}: {escaped(str(alert.row['reason']))}"
    return f"{alert.fingerprint} {escaped(alert.container)}: {told}"


# ----------------------------------------------------------------------------------------------------------- messages
def _notify(settings: Settings, told: Sequence[Alert], more: int = 0) -> bool:
    """Send one message for all alerts; returns whether it reached somebody, or nobody wants to be notified."""
    if not told or not settings[NOTIFY]:
        return True
    severity = SENT_AS[rank_alerts(told)[0].severity]
    return send(settings, title(told, more), "\n".join(message(told, more)), severity)


def title(told: Sequence[Alert], more: int = 0) -> str:
    """Return what a message is about."""
    severities = count_severities(Counter(alert.severity for alert in told))
    rest = f" and {more} more" if more else ""
    return f"dockyard on {socket.gethostname()}: {severities}{rest} unexpected"


def message(told: Sequence[Alert], more: int = 0) -> list[str]:
    """Return the lines of a message, by container and directory, the worst first; what is left out is counted.

    `more` were not even read.
    """
    groups = by_directory(told)
    lines = [_cut(_group_line(members)) for members in groups]
    room = LINES - 2
    if len(lines) > room:
        left = groups[room - 1 :]
        lines = [*lines[: room - 1], f"and {sum(map(len, left))} more, in {len(left)} other directories"]
    lines += [f"and {more} more that are not listed"] if more else []
    return [*lines, "", "d-cowscan lists them; they stay raised until acknowledged with d-cowscan --ack"]


def _group_line(members: Sequence[Alert]) -> str:
    return _line(members[0]) if len(members) == 1 else group_of(members).line()


def _cut(line: str) -> str:
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
