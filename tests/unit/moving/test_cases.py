"""Five projects as people write them: what is carried, that nothing is dropped, and what compose makes of the way back.

A case is a directory of tests/golden/compose: the project, `imported.txt` (what `d import -n` shows), and
`differences.yaml`: by reason, every field of a service in which `docker compose config` of the export differs from that
of the original, with both values.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from dockyard.cli.d import d
from dockyard.cli.output import Result
from dockyard.moving.context import Wanted
from dockyard.moving.importing import Import, plan_import
from dockyard.moving.reading import read_project
from dockyard.moving.to_compose import compose_file, variable
from dockyard.settings.nodes import Mapping, Node, Scalar, Sequence
from tests.unit.moving.cases import BASE, CASES, ENVIRON, compose, file_of, imported, launches, services

Record = Callable[[str, object], None]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, a case's."""
    found: Path = request.param
    monkeypatch.chdir(found)
    return found


def test_an_import_is_as_expected(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What a dry run shows, every file and every remark, is what the case says; nothing is written."""
    for name in ("COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME", "SMTP_HOST", "SMTP_PASSWORD", "DOCKER_VOL_BASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("D_SRC_DIR", str(tmp_path))
    monkeypatch.setenv("DOCKYARD_HOST", "/dev/null")
    result = d(["import", file_of(case), "--dry-run"])
    assert isinstance(result, Result)
    shown = "\n".join(result.lines).replace(str(case), "PROJECT").replace(str(tmp_path), "D_SRC_DIR")
    assert f"{shown}\n" == (case / "imported.txt").read_text()
    assert list(tmp_path.iterdir()) == []


# --------------------------------------------------------------------------------------------------- nothing is dropped
def _positions(node: Any, found: set[str]) -> set[str]:  # noqa: ANN401 - the library's
    """Return where each value stands, as the library says it."""
    if isinstance(node, MappingNode) and node.value:
        for key, value in node.value:
            _positions(value if not _is_null(value) else key, found)
    elif isinstance(node, SequenceNode) and node.value:
        for item in node.value:
            _positions(item, found)
    else:
        found.add(f"{node.start_mark.line + 1}:{node.start_mark.column + 1}")
    return found


def _is_null(node: Any) -> bool:  # noqa: ANN401
    return isinstance(node, ScalarNode) and not node.style and not node.value


def _told(plan: Import, name: str) -> tuple[set[str], set[str]]:
    carried = {part.node.where for one in plan.carried for part in one.parts}
    left = {part.node.where for one in plan.left for part in one.parts}
    return tuple({where.removeprefix(f"{name}:") for where in places} for places in (carried, left))  # type: ignore[return-value]


def test_every_value_is_carried_or_told(case: Path, record_property: Record):
    """Each value of the file, found by the parser itself, is carried by something or listed as left behind."""
    name = file_of(case)
    every = _positions(YAML(typ="safe", pure=True).compose(case / name), set())
    carried, left = _told(imported(case), name)
    assert every - carried - left == set()
    both = len(left & every)
    record_property("figure", f"{case.name}: {len(every)} values, {len(every) - both} carried, {both} left behind")


def _with(node: Node, where: str, text: str) -> Node:
    """Return a tree with another text at a position."""
    if isinstance(node, Scalar):
        return node._replace(text=text, plain=False) if node.where == where else node
    if isinstance(node, Sequence):
        return Sequence(tuple(_with(item, where, text) for item in node.items), node.where)
    return Mapping(tuple((key, _with(value, where, text)) for key, value in node.pairs), node.where)


def _other(text: str) -> str:
    """Return another value of the kind."""
    flipped = {"true": "false", "false": "true", "1": "2"}
    return flipped.get(text) or (str(int(text) + 1) if text.isdigit() else f"{text}x")


def test_every_value_that_is_carried_as_a_setting_matters(case: Path):
    """Another value in the compose file, and some service's files, commands or secrets are others."""
    project = read_project([file_of(case)], ENVIRON)
    plan = plan_import(project, Wanted(), BASE)
    parts = {part.node.where: part for one in plan.carried if one.key for part in one.parts}
    without_effect = []
    for where, part in parts.items():
        root = project.root._replace(node=_with(project.root.node, where, _other(part.text)))
        other = plan_import(project._replace(root=root), Wanted(), BASE)
        if _outcome(other) == _outcome(plan):
            without_effect.append(f"{where} {part.key}")
    assert [entry for entry in without_effect if not entry.startswith((".env", "app.env", "./db.env"))] == []


def _outcome(plan: Import) -> tuple[object, ...]:
    left = [(one.parts[0].key, one.why) for one in plan.left]
    return (plan.services, plan.commands, left, [(secret.name, secret.value) for secret in plan.secrets])


def test_no_secret_is_shown_or_written(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No value of a secret is in any file, command, remark or error; its name is."""
    plan = imported(case)
    monkeypatch.setenv("D_SRC_DIR", str(tmp_path))
    result = d(["import", file_of(case), "--dry-run"])
    assert isinstance(result, Result)
    shown = "\n".join(result.lines) + json.dumps(result.data) + repr(plan.secrets)
    assert [secret.name for secret in plan.secrets if secret.value in shown] == []
    text, left = compose_file(launches(plan))
    assert [secret.name for secret in plan.secrets if secret.value in text + "".join(left)] == []


# --------------------------------------------------------------------------------------------------------- the way back
def _differences(before: dict[str, str], after: dict[str, str], case: Path) -> dict[str, list[str | None]]:
    def plain(text: str | None) -> str | None:
        return text and text.replace(str(case), "PROJECT")

    paths = sorted({*before, *after})
    return {
        path: [plain(before.get(path)), plain(after.get(path))] for path in paths if before.get(path) != after.get(path)
    }


def test_compose_reads_the_export_as_the_original(case: Path, tmp_path: Path, record_property: Record):
    """`docker compose config` of the export differs from that of the original in the fields that the case lists."""
    plan = imported(case)
    exported = launches(plan)
    (tmp_path / "compose.yaml").write_text(compose_file(exported)[0])
    values = {secret.name: secret.value for secret in plan.secrets}
    environ = {
        variable(one, secret.variable): values[secret.reference.removeprefix("secret:")]
        for one in exported
        for secret in one.secrets
    }
    original = services(compose(case, "--profile", "*", "-f", file_of(case), environ={"RELAY_PASSWORD": "x"}))
    ours = services(compose(tmp_path, "-p", plan.project.name, environ=environ))
    assert list(original) == list(ours)
    found = {
        f"{name}.{path}": pair
        for name in original
        for path, pair in _differences(original[name], ours[name], case).items()
    }
    listed = YAML(typ="safe", pure=True).load(case / "differences.yaml")
    assert found == {path: pair for group in listed.values() for path, pair in group.items()}
    count = sum(len({*original[name], *ours[name]}) for name in original)
    record_property("figure", f"{case.name}: {count} fields, {count - len(found)} equal, {len(found)} as listed")
