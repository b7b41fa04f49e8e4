"""What an import writes: all or nothing, secrets for their owner alone, nothing over what is there."""

from pathlib import Path

import pytest

from dockyard.errors import DockyardError, UsageError
from dockyard.moving.importing import NewService
from dockyard.moving.outcome import File, Secret
from dockyard.moving.writing import refuse_existing, refuse_other_secrets, write_secrets, write_services
from tests.unit.moving.test_reading import _imported, project

assert project  # a fixture

SERVICES = [NewService(name, "1", {"files/etc/x": File("files/etc/x", "text", mode=0o600)}) for name in ("a", "b")]


def test_all_services_are_written(tmp_path: Path):
    """Each with its files and their modes, and nothing beside them."""
    write_services(SERVICES, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    written = tmp_path / "b/files/etc/x"
    assert (written.read_text(), written.stat().st_mode & 0o777) == ("text", 0o600)


def test_none_is_written_where_one_cannot_be(tmp_path: Path):
    """A service that has come to be there meanwhile stays as it is, and those that were written before it go."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b/settings.yaml").touch()
    with pytest.raises(DockyardError, match="already exists"):
        write_services(SERVICES, tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["b", "b/settings.yaml"]


def test_a_service_that_is_there_is_refused_wherever_it_lies(tmp_path: Path):
    """In the directory itself, even as a link that leads nowhere, or in the second directory of services."""
    refuse_existing(SERVICES, tmp_path, [])
    (tmp_path / "a").symlink_to("nowhere")
    with pytest.raises(UsageError, match="/a, /elsewhere/b already exist"):
        refuse_existing(SERVICES, tmp_path, [Path("/elsewhere/b"), Path("/elsewhere/c")])


def test_secrets_are_files_of_their_owner(tmp_path: Path):
    """A secret is a file that only its owner reads; one of the same value stays, one of another is refused."""
    secrets = [Secret("p/A", "value", ".env:1"), Secret("p/web/B", "two\nlines", ".env:2")]
    assert write_secrets(secrets, tmp_path / "s") == ["p/A", "p/web/B"]
    assert (tmp_path / "s/p/web/B").read_text() == "two\nlines"
    assert [(tmp_path / name).stat().st_mode & 0o077 for name in ("s", "s/p", "s/p/A")] == [0, 0, 0]
    refuse_other_secrets(secrets, tmp_path / "s")
    assert write_secrets(secrets, tmp_path / "s") == []
    with pytest.raises(UsageError, match="other values for p/A") as error:
        refuse_other_secrets([Secret("p/A", "tell-nobody", "")], tmp_path / "s")
    assert "tell-nobody" not in " ".join(error.value.lines())


LEAKS = """\
services:
  a:
    image: x
    env_file: a.env
    command: [run, "--db=${DB}"]
    healthcheck: {test: "curl http://u:from-the-file@h/"}
    labels: {key: "${API_TOKEN}"}
    build:
      dockerfile_inline: "FROM x\\nRUN echo ${API_TOKEN}"
      args: {NPM_TOKEN: from-the-file}
"""


@pytest.mark.usefixtures("project")
def test_a_secret_leaks_by_no_other_way():
    """In commands, health checks, labels, builds, and through variables of harmless names: it stays where it is."""
    Path(".env").write_text("DB=postgres://u:from-the-env@h/d\nAPI_TOKEN=from-the-env\n")
    Path("a.env").write_text('HARMLESS="pw=${API_TOKEN}"\n')
    plan = _imported(LEAKS)
    texts = [file.text for service in plan.services for file in service.files.values()]
    assert not any("from-the" in text for text in texts)
    assert not any("from-the" in one.why + one.instead for one in plan.left)
    assert {part.key for one in plan.left for part in one.parts} >= {
        "services.a.command.1",
        "services.a.healthcheck.test",
        "services.a.labels.key",
        "services.a.build.args.NPM_TOKEN",
        "services.a.build.dockerfile_inline",
    }
    assert [secret.name.rpartition("/")[2] for secret in plan.secrets] == ["HARMLESS"]
