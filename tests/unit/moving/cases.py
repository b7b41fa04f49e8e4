"""Compose projects as people write them, in tests/golden/compose: imported, exported, and read by compose itself."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from bench import trixie

from dockyard.moving.context import Wanted
from dockyard.moving.importing import Import, plan_import
from dockyard.moving.launched import Launched, launched
from dockyard.moving.reading import read_project
from tests.unit.making import GOLDEN, plan_of, settings_of

CASES = sorted(path for path in (GOLDEN / "compose").iterdir() if path.is_dir())
ENVIRON = {"HOME": "/root"}
BASE = "/rw/dv"


class Everything(frozenset[str]):
    """A set that has all paths."""

    def __contains__(self, _: object) -> bool:
        return True


def file_of(case: Path) -> str:
    """Return the name of a case's compose file."""
    return next(case.glob("*compose.y*ml")).name


def imported(case: Path, wanted: Wanted | None = None, file: str = "") -> Import:
    """Return the import of a case; the current directory has to be its own."""
    return plan_import(read_project([file or file_of(case)], ENVIRON), wanted or Wanted(), BASE)


def launches(plan: Import) -> list[Launched]:
    """Return how the services of an import would be launched, on a host that has all that they mount."""
    found = []
    for service in plan.services:
        settings = settings_of(service.files["settings.yaml"].text, service=service.name)
        found.append(launched(plan_of(settings, service=service.name, existing=Everything())))
    return found


def compose(place: Path, *argv: str, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what `docker compose config` makes of a project; skips, and says why, where compose cannot be had."""
    try:
        begin = trixie.compose()
    except trixie.MissingError as error:
        pytest.skip(f"compose cannot be had here: {error}")
    done = subprocess.run(
        [*begin, *argv, "config", "--format", "json"],
        cwd=place,
        env={"PATH": os.environ["PATH"], **ENVIRON, **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def services(project: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return the fields of each service; networks are called as the engine calls them."""
    found = {}
    for name, service in project["services"].items():
        joined = service.pop("networks", {})
        service["networks"] = {project["networks"][key]["name"]: value or {} for key, value in joined.items()}
        found[name] = dict(fields(service))
    return found


def fields(node: Any, path: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - JSON
    """Yield each value of what compose tells of a service, by its path; ports and mounts by what they are for."""
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from fields(value, f"{path}.{key}" if path else key)
    elif isinstance(node, list) and node:
        for number, item in enumerate(node):
            yield from fields(item, f"{path}.{_name(path, item, number)}")
    else:
        yield path, str(node)


def _name(path: str, item: Any, number: int) -> str:  # noqa: ANN401
    if isinstance(item, dict) and path == "ports":
        return f"{item.get('published', '')}:{item['target']}/{item['protocol']}"
    if isinstance(item, dict) and "target" in item:
        return str(item["target"])
    return str(number) if path in {"command", "entrypoint"} or isinstance(item, dict) else str(item)
