"""What there is to report of a container that was stopped: whether it ended by itself, and how long that took."""

from dockyard.engine.models import Container
from dockyard.watch import seconds_of

KILL_HINT = (
    "set `stop_signal` to the signal on which its program ends, such as SIGINT, or raise `stop_timeout` (in seconds)"
)


def kill_notes(name: str, seconds: float | None = None) -> tuple[str, str]:
    """Return what to report of a container that was killed at its stop, and a hint; `seconds` are what it had."""
    within = "" if seconds is None else f" within {seconds:.0f} s"
    return (f"{name} did not end{within} after its stop signal, and was killed (SIGKILL)", f"hint: {KILL_HINT}")


def seconds_to_end(container: Container, asked: float) -> float | None:
    """Return how long a container took to end; None if it has not ended. `asked` is in seconds of the clock."""
    ended = seconds_of(container.finished)
    return None if container.is_up or ended <= 0 else max(ended - asked, 0.0)
