"""Build order from the base images of services."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.errors import DockyardError
from dockyard.plan.build import ImageName
from dockyard.plan.order import edges, generations, plain_reference

NAMES = st.sampled_from("abcdefgh")


@pytest.mark.parametrize(
    ("reference", "plain"),
    [
        ("ktools/web:live", "ktools/web"),
        ("localhost/ktools/web", "ktools/web"),
        ("docker.io/library/redis:7", "redis"),
        ("host:5000/web:1@sha256:00", "host:5000/web"),
    ],
)
def test_reference_without_its_tag(reference: str, plain: str) -> None:
    """All spellings of engines are the same image; a registry's port is not a tag."""
    assert plain_reference(reference) == plain


def test_edges_are_between_services() -> None:
    """An image of another registry is not an edge, nor is the service's previous image."""
    names = {name: ImageName("ktools", name) for name in ("base", "web")}
    bases = {"base": ["debian:12", "ktools/base:live"], "web": ["localhost/ktools/base:latest"]}
    assert edges(names, bases) == {"base": frozenset(), "web": frozenset({"base"})}
    bases["web"] = [f"ktools/base:live@sha256:{'1' * 64}"]
    assert edges(names, bases) == {"base": frozenset(), "web": frozenset({"base"})}


@given(st.dictionaries(NAMES, st.sets(NAMES)))
def test_what_is_built_from_comes_earlier_or_the_ring_is_shown(depends: dict[str, set[str]]) -> None:
    """Every edge leads to an earlier group; if that is impossible, the error shows an existing cycle."""
    try:
        groups = generations(depends)
    except DockyardError as error:
        way = str(error).partition(": ")[2].split(" → ")
        assert way[0] == way[-1]
        assert all(below in depends[above] for above, below in pairwise(way))
        return
    place = {name: number for number, group in enumerate(groups) for name in group}
    assert all(place[below] < place[above] for above, wanted in depends.items() for below in wanted)
