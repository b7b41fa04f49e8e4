"""Base images: which registry a name means to the engine."""

from pathlib import Path

import pytest

from dockyard.registry.configuration import read_configuration
from dockyard.updates.bases import DOCKERFILE, _base, _Named

ALIASES = (
    'unqualified-search-registries = ["quay.io", "docker.io"]\n[aliases]\nfedora = "registry.example.com/fedora"\n'
)


@pytest.mark.parametrize(
    ("program", "name", "repository"),
    [
        ("podman", "fedora:44", "registry.example.com/fedora"),
        ("podman", "web:1", "quay.io/web"),
        ("podman", "ghcr.io/web:1", "ghcr.io/web"),
        ("docker", "fedora:44", "docker.io/library/fedora"),
    ],
)
def test_a_short_name_is_in_the_registry_that_the_engine_takes_it_from(
    tmp_path: Path, program: str, name: str, repository: str
):
    path = tmp_path / "etc/containers/registries.conf"
    path.parent.mkdir(parents=True)
    path.write_text(ALIASES)
    names_of = read_configuration(program, {"HOME": str(tmp_path)}, tmp_path).rules.names_of
    base = _base(names_of, _Named("s", name, DOCKERFILE, name, ()), {})
    assert base
    assert (base.name, base.repository) == (name, repository)


def test_what_no_registry_could_have_is_not_a_base(tmp_path: Path):
    names_of = read_configuration("docker", {"HOME": str(tmp_path)}, tmp_path).rules.names_of
    assert _base(names_of, _Named("s", "Not:A:Name", DOCKERFILE, "Not:A:Name", ()), {}) is None
