"""Checking a service without launching anything."""

from typing import TYPE_CHECKING, Any

from dockyard.cli.output import Result
from dockyard.cli.verb import On, verb
from dockyard.errors import WORK_FAILED, DockyardError, SettingsError
from dockyard.yard import Yard

if TYPE_CHECKING:
    from dockyard.service import Service
    from dockyard.settings.values import Mode

Row = dict[str, Any]


@verb("check", on=On.SERVICE, report=True, settles=False)
def check(yard: Yard, name: str) -> Result:
    """Check settings, mounts, who can read and write them, and that tests share nothing with production.

    Nothing is launched, nothing changes. A mount that tests share on purpose is told, and is no fault.
    """
    return _told(_rows(yard, name), name)


@verb("check-all", report=True, settles=False)
def check_all(yard: Yard) -> Result:
    """Check all services, as `check` does one. Nothing is launched, nothing changes."""
    return _told([row for service in yard.services for row in _rows(yard, service.name)], "all services")


def _rows(yard: Yard, name: str) -> list[Row]:
    """Return what there is to say of a service, each thing once."""
    from dockyard.settings.values import Mode

    rows = [row for mode in (Mode.PROD, Mode.TEST) for row in _checked(yard, yard.named(name), mode)]
    return [
        row for number, row in enumerate(rows) if row["message"] not in {other["message"] for other in rows[:number]}
    ]


def _told(rows: list[Row], what: str) -> Result:
    exit_code = WORK_FAILED if any(row["fault"] for row in rows) else 0
    lines = [line for row in rows for line in _lines(row)]
    return Result(lines if exit_code else [*lines, f"{what}: all ok"], rows, exit_code)


def _checked(yard: Yard, service: "Service", mode: "Mode") -> list[Row]:
    from dockyard import launch
    from dockyard.plan.launch import LaunchOptions

    def row(message: str, *, where: str = "", mend: str = "", fault: bool = True) -> Row:
        what = {"service": service.name, "mode": mode.value, "where": where, "message": message, "mend": mend}
        return {**what, "fault": fault}

    try:
        options = LaunchOptions(directory=str(service.directory))
        plan = launch.plan(yard, service, yard.load(service, mode), options, replacing=True)
    except SettingsError as error:
        return [row(problem.message, where=problem.where, mend=problem.hint) for problem in error.problems]
    except DockyardError as error:
        return [row(str(error), mend=error.hint)]
    unfit = [row(finding.message, where=finding.where, mend=finding.mend) for finding in plan.unfit]
    links = [
        f"containers write to `{outer}`, and can leave a link in place of `{inner}` for when they are started again"
        for inner, outer in (() if mode.isolated else plan.nested)
    ]
    return [*unfit, *(row(note, fault=False) for note in (*plan.notes, *links))]


def _lines(row: Row) -> list[str]:
    place = row["where"] or (row["service"] if row["fault"] else "")
    where = f"{place}: " if place else ""
    kind = "" if row["fault"] else "note: "
    return [f"{kind}{where}{row['message']}", *([f"  hint: {row['mend']}"] if row["mend"] else [])]
