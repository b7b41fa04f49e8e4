"""What systemd says of dockyard's timers and services that are enabled."""

import shutil
from collections.abc import Iterable

from dockyard import process
from dockyard.monitoring.problems import UnitFacts
from dockyard.privilege import is_hosts_root

PROPERTIES = ("Id", "UnitFileState", "ActiveState", "LastTriggerUSec", "Result", "ExecMainStatus")
PATIENCE = 10.0
Properties = dict[str, str]


def enabled_units() -> list[UnitFacts]:
    """Return the facts of all timers and watchers that are enabled; none where systemd does not run."""
    from dockyard.units import PERIODIC

    if not shutil.which("systemctl"):
        return []
    names = [word for name in PERIODIC for word in dict.fromkeys((name, _service_of(name)))]
    user = () if is_hosts_root() else ("--user",)
    argv = ("systemctl", *user, "show", "--timestamp=unix", f"--property={','.join(PROPERTIES)}", *names)
    done = process.capture(argv, timeout=PATIENCE)
    return [] if done.exit_code else units_from(done.stdout, PERIODIC)


def units_from(text: str, names: Iterable[str]) -> list[UnitFacts]:
    """Return what an answer of `systemctl show` says of the units of these names that are enabled."""
    blocks = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in text.split("\n\n")]
    units = {block.get("Id", ""): block for block in blocks}
    return [
        _unit(units[name], units.get(_service_of(name), {}))
        for name in names
        if units.get(name, {}).get("UnitFileState", "").startswith("enabled")
    ]


def _service_of(name: str) -> str:
    return f"{name.rpartition('.')[0]}.service"


def _unit(unit: Properties, service: Properties) -> UnitFacts:
    is_timer = unit["Id"].endswith(".timer")
    return UnitFacts(
        unit["Id"],
        is_active=unit.get("ActiveState") in {"active", "activating", "reloading"},
        is_running=is_timer and service.get("ActiveState") == "activating",
        triggered=_seconds(unit.get("LastTriggerUSec", "")),
        result=service.get("Result") or "success",
        exit_code=int(service.get("ExecMainStatus") or 0),
    )


def _seconds(text: str) -> float:
    """Return a time as `--timestamp=unix` writes it, `@1700000000`; 0 for none."""
    number = text.removeprefix("@")
    return float(number) if number.isdigit() else 0.0
