import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from dockyard import secrets
from dockyard.engine.models import Container
from dockyard.errors import DockyardError, UsageError
from dockyard.plan.values import Secret
from dockyard.settings.resolve import Settings
from tests.unit.making import settings_of


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the host's secret in a directory of the test's own."""
    directory = tmp_path / "state"
    monkeypatch.setattr(secrets, "state_directory", lambda: directory)
    return directory


def _with_command(command: str) -> Settings:
    return settings_of(host=f"secret_command: {command}")


def test_a_puid_is_the_same_each_time():
    assert secrets.reveal("puid:web", settings_of()) == secrets.reveal("puid:web", settings_of())


def test_a_puid_differs_between_containers():
    names = ("web", "test-web", "web2", "")
    assert len({secrets.reveal(f"puid:{name}", settings_of()) for name in names}) == len(names)


def test_a_puid_differs_between_hosts(state: Path):
    first = secrets.reveal("puid:web", settings_of())
    (state / "host-secret").unlink()
    assert secrets.reveal("puid:web", settings_of()) != first


def test_the_hosts_secret_is_for_its_owner_alone(state: Path):
    secrets.reveal("puid:web", settings_of())
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "host-secret").stat().st_mode) == 0o600
    assert [path.name for path in state.iterdir()] == ["host-secret"]


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_host_secret_that_others_may_read_is_refused(state: Path, mode: int):
    secrets.reveal("puid:web", settings_of())
    (state / "host-secret").chmod(mode)
    with pytest.raises(DockyardError) as error:
        secrets.reveal("puid:web", settings_of())
    assert error.value.lines() == [
        f"{state}/host-secret: other users can read it",
        f"hint: chmod 600 {state}/host-secret",
    ]


def test_a_host_secret_that_is_a_link_is_refused(state: Path):
    state.mkdir()
    (state / "host-secret").symlink_to("/dev/null")
    with pytest.raises(DockyardError, match="host-secret"):
        secrets.reveal("puid:web", settings_of())


def test_a_host_secret_that_cannot_be_made_says_how_to_do_without(state: Path):
    state.write_text("a file is in the way")
    with pytest.raises(DockyardError) as error:
        secrets.reveal("puid:web", settings_of())
    assert error.value.hint == '`puid` needs it; set `puid: ""` to do without'


def _reveal_in_a_process(directory: Path, start: "multiprocessing.synchronize.Barrier", found: Path) -> None:
    secrets.state_directory = lambda: directory
    start.wait()
    (found / str(os.getpid())).write_text(secrets.reveal("puid:web", settings_of()))


def test_processes_that_make_the_hosts_secret_at_once_agree(state: Path, tmp_path: Path):
    """Of several writers the first wins, and all read what it wrote."""
    context = multiprocessing.get_context("fork")
    found = tmp_path / "found"
    found.mkdir()
    start = context.Barrier(8)
    children = [context.Process(target=_reveal_in_a_process, args=(state, start, found)) for _ in range(8)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 8
    assert len({path.read_text() for path in found.iterdir()}) == 1


def test_a_draft_that_a_crash_left_behind_is_no_obstacle(state: Path):
    state.mkdir()
    (state / f".host-secret.{os.getpid()}").touch()
    assert secrets.reveal("puid:web", settings_of())


def test_a_secret_by_name_comes_from_the_command():
    assert secrets.reveal("secret:db", _with_command("printf 'for %s' {name}")) == "for db"


def test_only_the_last_newline_is_no_part_of_the_secret():
    assert secrets.reveal("secret:db", _with_command(r"printf 'a\n\n'")) == "a\n"


def test_a_name_is_never_read_by_a_shell():
    assert secrets.reveal("secret:$(id);'", _with_command("printf %s {name}")) == "$(id);'"


def test_no_secret_command_is_an_error_that_says_so():
    with pytest.raises(DockyardError) as error:
        secrets.reveal("secret:db", settings_of())
    assert error.value.lines() == [
        "secret `db`: secret_command is not set",
        "hint: set it in the host file, such as `secret_command: pass show {name}`",
    ]


def test_a_secret_command_that_fails_is_an_error_with_what_it_said():
    with pytest.raises(DockyardError) as error:
        secrets.reveal("secret:db", _with_command("sh -c 'echo half; echo locked >&2; exit 3'"))
    assert error.value.lines() == ["secret `db`: secret_command ended with exit code 3", "hint: locked"]


def test_a_secret_command_that_is_missing_is_an_error():
    with pytest.raises(DockyardError, match="secret_command: /missing: No such file or directory"):
        secrets.reveal("secret:db", _with_command("/missing {name}"))


def test_a_secret_that_no_environment_can_hold_is_an_error():
    with pytest.raises(DockyardError, match="secret `db`"):
        secrets.reveal("secret:db", _with_command(r"printf 'a\000b'"))


def test_a_puid_of_ones_own_is_what_the_settings_say():
    assert secrets.reveal("setting:puid", settings_of("puid: abc")) == "abc"


def test_an_unknown_secret_is_an_error():
    with pytest.raises(UsageError, match="there is no secret"):
        secrets.reveal("magic:x", settings_of())


def test_each_variable_gets_its_value():
    wanted = (Secret("PUID", "setting:puid"), Secret("TOKEN", "secret:db"))
    settings = settings_of("puid: abc", host="secret_command: echo {name}")
    assert secrets.values_of(wanted, settings) == {"PUID": "abc", "TOKEN": "db"}


@pytest.mark.parametrize("variables", [{"XDG_STATE_HOME": "/xdg"}, {"HOME": "/users/joe"}])
def test_an_ordinary_user_keeps_state_where_users_do(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    expected = {"XDG_STATE_HOME": "/xdg/dockyard", "HOME": "/users/joe/.local/state/dockyard"}
    assert str(secrets.state_directory()) == expected[next(iter(variables))]


def test_root_keeps_state_in_var(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert str(secrets.state_directory()) == "/var/lib/dockyard"


ROTATED = Secret("PASSWORD", "secret:db")
KEPT_ONE = Secret("TOKEN", "secret:token")
VALUES = {"PASSWORD": "first", "TOKEN": "t0ken", "PUID": "not hexadecimal"}


def launched(values: dict[str, str], tmp_path: Path) -> tuple[Container, Settings]:
    """Return a container that was launched with secrets, and settings that give the values in a directory."""
    for name, value in (("db", values["PASSWORD"]), ("token", values["TOKEN"])):
        (tmp_path / name).write_text(value)
    argv = secrets.with_digests(("create", "--name", "web"), values, (ROTATED, KEPT_ONE, Secret("PUID", "puid:web")))
    label, _, text = argv[2].partition("=")
    assert (argv[0], argv[1], argv[3:]) == ("create", "--label", ("--name", "web"))
    return Container("1", "web", "running", "2", labels={label: text}), _with_command(f"cat {tmp_path}/{{name}}")


def test_a_rotated_secret_is_named_and_no_other(tmp_path: Path) -> None:
    """By its variable, once its value is another; back at the old value nothing has changed."""
    container, settings = launched(VALUES, tmp_path)
    wanted = (ROTATED, KEPT_ONE)
    assert secrets.rotated_secrets(container, wanted, settings) == []
    (tmp_path / "db").write_text("second")
    assert secrets.rotated_secrets(container, wanted, settings) == ["PASSWORD"]
    (tmp_path / "db").write_text("first")
    assert secrets.rotated_secrets(container, wanted, settings) == []


def test_a_digest_does_not_tell_the_value(tmp_path: Path, state: Path) -> None:
    """It holds no value, and is another one on another host; only what `secret_command` gives has one."""
    container, _ = launched(VALUES, tmp_path)
    text = container.labels["dockyard.secret-digests"]
    assert {word.partition("=")[0] for word in text.split()} == {"PASSWORD", "TOKEN"}
    assert not any(value in text for value in VALUES.values())
    (state / "host-secret").unlink()
    again, _ = launched(VALUES, tmp_path)
    assert not set(text.split()) & set(again.labels["dockyard.secret-digests"].split())


def test_what_has_no_digest_is_not_known_to_have_changed(tmp_path: Path) -> None:
    """A container from before there were any, and a secret that is new in the settings: no command is run for it."""
    _, settings = launched(VALUES, tmp_path)
    bare = Container("1", "web", "running", "2")
    assert secrets.rotated_secrets(bare, (ROTATED,), _with_command("false")) == []
    assert secrets.with_digests(("create",), {}, ()) == ("create",)
    assert settings
