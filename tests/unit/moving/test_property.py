"""Whatever a compose file says: each value is carried or told, or the whole is refused in words."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dockyard.errors import DockyardError
from dockyard.moving.context import Wanted
from dockyard.moving.importing import plan_import
from dockyard.moving.merging import long_forms
from dockyard.moving.reading import Project
from dockyard.moving.service_keys import SERVICE_KEYS
from dockyard.moving.tree import Part
from dockyard.settings.key import Scope
from dockyard.settings.load import read_file
from dockyard.settings.nodes import Mapping, Node, Scalar, Sequence

WORDS = (
    "a",
    "b",
    "x:/y",
    "./d:/e:ro",
    "80:80",
    "80",
    "A=1",
    "true",
    "1g",
    "10s",
    "",
    "/p",
    "none",
    "service:b",
    "*s",
    "[",
)
KEYS = ("source", "target", "type", "test", "condition", "a", "b", "limits", "driver", "soft", "path", "x-y")


@st.composite
def trees(draw: Any, depth: int = 3) -> Any:  # noqa: ANN401 - hypothesis'
    """Return what YAML may hold."""
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from((*WORDS, None)))
    if draw(st.booleans()):
        return draw(st.lists(trees(depth=depth - 1), max_size=3))
    return draw(st.dictionaries(st.sampled_from(KEYS), trees(depth=depth - 1), max_size=3))


def _node(tree: Any, counter: list[int]) -> Node:  # noqa: ANN401
    counter[0] += 1
    where = f"compose.yaml:{counter[0]}:1"
    if isinstance(tree, dict):
        return Mapping(tuple((Scalar(key, where), _node(value, counter)) for key, value in tree.items()), where)
    if isinstance(tree, list):
        return Sequence(tuple(_node(item, counter) for item in tree), where)
    return Scalar(tree or "", where, plain=tree is None)


services = st.dictionaries(st.sampled_from((*SERVICE_KEYS, "unknown")), trees(), max_size=6)
tops = st.dictionaries(
    st.sampled_from(("networks", "volumes", "secrets", "configs", "x-y", "version", "other")), trees()
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(services, services, tops)
def test_every_value_is_carried_or_told(place: Path, one: dict[str, Any], two: dict[str, Any], top: dict[str, Any]):
    """No value is dropped, whatever its form; and the settings that are written are settings."""
    one["image"] = two["image"] = "x"
    for service in (one, two):
        service.pop("env_file", None)  # names files, which are none here
        service.pop("extends", None)
    root = _node({**top, "services": {"a": one, "b": two}}, [0])
    assert isinstance(root, Mapping)
    try:
        pairs = tuple((key, _in_long_form(value) if key.text == "services" else value) for key, value in root.pairs)
        project = Project("p", place, Part((), Mapping(pairs, root.where)), {}, {}, (), (), {})
        plan = plan_import(project, Wanted(), "/rw/dv")
    except DockyardError:
        return  # it is told in words
    told = {part.path for outcome in (*plan.carried, *plan.left) for part in outcome.parts}
    assert [leaf.key for leaf in project.root.leaves() if leaf.path not in told] == []
    for new in plan.services:
        read_file(new.files["settings.yaml"].text, "settings.yaml", Scope.SERVICE)


def _in_long_form(node: Node) -> Node:
    assert isinstance(node, Mapping)
    return Mapping(tuple((name, long_forms(body)) for name, body in node.pairs), node.where)
