"""Verbs for the host: systemd units and cleaning up."""

from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.cli.command import flag, option
from dockyard.cli.output import Result, table
from dockyard.cli.verb import verb
from dockyard.yard import Yard

if TYPE_CHECKING:
    from dockyard.units import Unit

DRY_RUN = flag("-n", "--dry-run", help="show what would change, and change nothing")


@verb(
    "install-units",
    settles=False,
    options=(
        option(
            "--directory", metavar="DIR", help="directory of the units (default: /etc/systemd/system, or the user's)"
        ),
        option("--time", default="04:00", help="when to upgrade, as systemd calendar time (04:00)"),
        option(
            "--cowscan",
            nargs="?",
            const="usual",
            choices=("watch", "timer", "usual"),
            metavar="watch|timer",
            help="also run d-cowscan: `watch` continuously or `timer` every hour (without a value: watch for root, "
            "timer for others)",
        ),
        flag("--remove", help="remove the units"),
        flag("--force", help="also replace or remove units that were changed since"),
        DRY_RUN,
    ),
)
def install_units(  # noqa: PLR0913 - the command's own options
    _yard: Yard, *, directory: str, time: str, cowscan: str, remove: bool, force: bool, dry_run: bool
) -> Result:
    """Install systemd units: start all waves at boot; timers that upgrade all services, check and clean the host.

    The upgrade and the check send each problem once to the `notify` addresses of the host file.
    """
    from dockyard import units

    place = Path(directory) if directory else units.directory()
    scanners = units.installed_scanners(place) if remove else units.scanners(cowscan)
    wanted = units.units(place, time, scanners)
    if dry_run:
        return Result([line for unit in wanted for line in _shown(unit, removing=remove)])
    if remove:
        gone = units.remove(wanted, force=force)
        return Result([*(f"{path}: removed" for path in gone), *units.commands(removing=True, scanners=scanners)])
    units.install(wanted, force=force)
    written = [f"{unit.path}: {'unchanged' if unit.there == unit.text else 'written'}" for unit in wanted]
    return Result([*written, "now run:", *(f"  {line}" for line in units.commands(removing=False, scanners=scanners))])


def _shown(unit: "Unit", *, removing: bool) -> list[str]:
    import difflib

    after = [] if removing else unit.text.splitlines()
    lines = difflib.unified_diff((unit.there or "").splitlines(), after, str(unit.path), str(unit.path), lineterm="")
    return list(lines) or [f"{unit.path}: nothing to do"]


@verb("clean", report=True, locks=True, options=(DRY_RUN,))
def clean(yard: Yard, *, dry_run: bool) -> Result:
    """Remove stopped containers of services, dangling images and the build cache; never a tagged or used image.

    Containers that belong to no service stay. Changes in a stopped production container are saved first.
    """
    from dockyard.clean import clean as carry_out
    from dockyard.clean import outline

    plan = outline(yard)
    rows = [row._asdict() for row in (plan.items if dry_run else carry_out(yard, plan))]
    shown = table(rows, ("what", "name", "result"))
    left = [f"not touched, as they belong to no service: {', '.join(plan.others)}"] if plan.others else []
    return Result([*(shown.lines or ["nothing to clean"]), *left], {"items": rows, "others": plan.others})
