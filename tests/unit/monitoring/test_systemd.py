"""What systemd says of timers, as it writes it."""

import pytest

from dockyard.monitoring.problems import UnitFacts
from dockyard.monitoring.systemd import units_from
from dockyard.units import PERIODIC

UPGRADE, CHECK, WATCH = "dockyard-upgrade.timer", "dockyard-check.timer", "dockyard-cowscan.service"
ANSWER = """\
Id=dockyard-upgrade.timer
UnitFileState=enabled
ActiveState=active
LastTriggerUSec=@1800000000
Result=success

Id=dockyard-upgrade.service
UnitFileState=static
ActiveState=activating
Result=success
ExecMainStatus=0

Id=dockyard-check.timer
UnitFileState=enabled
ActiveState=inactive
LastTriggerUSec=
Result=success

Id=dockyard-check.service
UnitFileState=static
ActiveState=failed
Result=exit-code
ExecMainStatus=203

Id=dockyard-cowscan.service
UnitFileState=disabled
ActiveState=inactive
Result=success
ExecMainStatus=0
"""


def test_answer_is_read() -> None:
    """What is not enabled is left out; what a timer starts is its service, of the same name."""
    assert units_from(ANSWER, (UPGRADE, CHECK, WATCH, "not-there.timer")) == [
        UnitFacts(UPGRADE, is_running=True, triggered=1_800_000_000),
        UnitFacts(CHECK, is_active=False, result="exit-code", exit_code=203),
    ]


@pytest.mark.parametrize("state", ["active", "activating"])
def test_watcher_is_its_own_service(state: str) -> None:
    """It is to run all the time, and is not stuck because of that."""
    text = f"Id={WATCH}\nUnitFileState=enabled\nActiveState={state}\nResult=success\nExecMainStatus=0\n"
    assert units_from(text, (WATCH,)) == [UnitFacts(WATCH)]


def test_all_that_runs_on_a_schedule_is_known() -> None:
    """The upgrade, the check, and both ways to scan."""
    assert {UPGRADE, CHECK, WATCH, "dockyard-cowscan-scan.timer"} <= set(PERIODIC)
