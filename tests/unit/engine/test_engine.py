"""The door to the engine, with a fake client for what a real one cannot be made to do on demand."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockyard.engine.dialect import DOCKER, PODMAN, Dialect, dialect_of
from dockyard.engine.engine import Engine, find_engine
from dockyard.engine.models import Image, Row
from dockyard.errors import EngineError, EngineUnreachableError, PortTakenError, UsageError

Fake = Callable[..., Engine]


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """Return what makes an engine of a shell script."""

    def make(script: str, dialect: Dialect = DOCKER) -> Engine:
        program = tmp_path / dialect.name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return Engine(str(program), dialect)

    return make


@pytest.fixture
def answering(fake: Fake, tmp_path: Path) -> Callable[..., Engine]:
    """Return what makes an engine that answers any question with this JSON, and writes down what it was asked."""

    def make(answer: Any, stderr: str = "", exit_code: int = 0) -> Engine:  # noqa: ANN401
        (tmp_path / "answer").write_text(json.dumps(answer))
        return fake(
            f'cd {shlex.quote(str(tmp_path))}; echo "$@" >> asked\n'
            f"cat answer; printf %s {shlex.quote(stderr)} >&2; exit {exit_code}"
        )

    return make


def _asked(tmp_path: Path) -> list[str]:
    return (tmp_path / "asked").read_text().splitlines()


def _container(name: str, identifier: str) -> dict[str, Any]:
    return {"Id": identifier, "Name": f"/{name}", "Image": "sha256:1", "State": {"Status": "running"}}


UNREACHABLE = [
    (DOCKER, "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"),
    (DOCKER, "error during connect: Get http://192.0.2.1:2375/v1.41/info: dial tcp 192.0.2.1:2375: no route to host"),
    (DOCKER, "permission denied while trying to connect to the Docker daemon socket"),
    (PODMAN, "Cannot connect to Podman. Please verify your connection to the Linux system"),
    (PODMAN, "Error: unable to connect to Podman socket: no such file"),
]


@pytest.mark.parametrize(("dialect", "message"), UNREACHABLE)
def test_an_engine_that_does_not_answer_is_told_from_one_that_refuses(fake: Fake, dialect: Dialect, message: str):
    engine = fake(f"echo warning: old client >&2; echo {shlex.quote(message)} >&2; exit 1", dialect)
    systemd = Path("/run/systemd/system").is_dir()
    start = f"systemctl start {dialect.name}" if systemd else f"service {dialect.name} start"
    for ask in (lambda: engine.call("info"), lambda: engine.containers(["web"]), lambda: engine.logs("web")):
        with pytest.raises(EngineUnreachableError) as error:
            ask()
        assert error.value.exit_code == 3
        assert error.value.lines() == [
            f"{dialect.name} does not answer: {message}",
            "hint: only root and members of its group may use it: use `sudo`"
            if message.startswith("permission")
            else f"hint: check it with `{engine.program} info`; if it is not running, start it: `{start}`",
        ]


def test_a_refused_socket_is_told_without_the_request(fake: Fake):
    """Docker tells the request and the system call as well, which is three times the same."""
    refused = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock"
    url = "http://%2Fvar%2Frun%2Fdocker.sock/v1.24/info"
    asked = f'Get "{url}": dial unix /var/run/docker.sock: connect: permission denied'
    engine = fake(f"echo {shlex.quote(f'{refused}: {asked}')} >&2; exit 1")
    with pytest.raises(EngineUnreachableError) as error:
        engine.call("info")
    assert str(error.value) == f"docker does not answer: {refused}"


def test_what_the_engine_refuses_is_told_in_its_own_words(fake: Fake):
    engine = fake("echo 'invalid reference format' >&2; exit 125")
    with pytest.raises(EngineError) as error:
        engine.call("run", "--env", "A=b", "image")
    assert (error.value.exit_code, error.value.engine_exit_code) == (1, 125)
    assert error.value.lines() == [f"`{engine.program} run` failed: invalid reference format"]


_OF_DOCKER = "Error response from daemon: driver failed programming external connectivity on endpoint web (9d06): "
_SINCE_28 = f"Error response from daemon: failed to set up container networking: {_OF_DOCKER.partition('daemon: ')[2]}"
TAKEN = [  # as each version wrote it, by the version
    (
        DOCKER,  # 20.10 and 26.1
        f"{_OF_DOCKER}Error starting userland proxy: listen tcp4 0.0.0.0:8080: bind: address already in use",
        "0.0.0.0:8080",
    ),
    (DOCKER, f"{_OF_DOCKER}Bind for 0.0.0.0:8081 failed: port is already allocated", "0.0.0.0:8081"),
    (
        DOCKER,  # 28.5
        f"{_SINCE_28}failed to bind host port for 0.0.0.0:8081:172.17.0.2:8080/tcp: address already in use",
        "0.0.0.0:8081",
    ),
    (
        DOCKER,
        f"{_SINCE_28}failed to bind host port for [::1]:8081:[fd00:17::2]:8080/udp: address already in use",
        "[::1]:8081",
    ),
    (
        DOCKER,
        f"{_SINCE_28}failed to bind host port 8081 for 127.0.0.1:8081-8083:172.17.0.2:80/tcp: address already in use",
        "127.0.0.1:8081",
    ),
    (DOCKER, f"{_SINCE_28}failed to bind host port 127.0.0.1:8081/tcp: address already in use", "127.0.0.1:8081"),  # 29
    (DOCKER, f"{_SINCE_28}failed to bind host port [::]:8081/udp: address already in use", "[::]:8081"),
    (PODMAN, "Error: cannot listen on the TCP port: listen tcp4 :8080: bind: address already in use", "8080"),
    (PODMAN, "Error: rootlessport listen tcp 127.0.0.1:8080: bind: address already in use", "127.0.0.1:8080"),
    (
        PODMAN,  # rootless, since 5.0
        "Error: pasta failed with exit code 1:\nFailed to bind port 8080 (Address already in use) for option '-t …'",
        "8080",
    ),
]


@pytest.mark.parametrize(("dialect", "message", "address"), TAKEN)
def test_a_port_that_is_taken_is_told_in_short(fake: Fake, dialect: Dialect, message: str, address: str):
    """A taken port is an error of its own: which one, how to see by whom, and none of the engine's inner life."""
    engine = fake(f"echo {shlex.quote(message)} >&2; exit 125", dialect)
    with pytest.raises(PortTakenError) as error:
        engine.call("start", "web")
    port = address.rpartition(":")[2]
    anybody = f"run `ss -lntup 'sport = {port}'` as root to see by which process; or publish another port in `ports`"
    said, hint = error.value.lines()
    assert said == f"port {address} of this host is already in use"
    assert hint == f"hint: {anybody}"
    assert "reserved" not in hint


PUBLISHED = [
    ("0.0.0.0:8080->80/tcp", "running", True),
    ("127.0.0.1:8080->80/tcp", "running", True),
    ("192.0.2.7:8080->80/tcp", "running", False),
    ("0.0.0.0:8080->80/udp", "running", False),
    ("0.0.0.0:18080->80/tcp", "running", False),
    ("0.0.0.0:8080->80/tcp", "exited", False),
]


RESERVED = [
    ("0.0.0.0:8079-8081->8079-8081/tcp", True),
    ("0.0.0.0:8080->80/tcp, 0.0.0.0:9090->80/tcp", True),
    ("0.0.0.0:9090->80/tcp, 0.0.0.0:8080->80/tcp", True),
    ("0.0.0.0:8080->53/udp", True),
    ("0.0.0.0:8081-8082->80-81/tcp, 8080/tcp", False),
]


@pytest.mark.parametrize(("ports", "told"), RESERVED)
def test_what_the_engine_has_reserved_for_somebody_is_not_called_nobodys(fake: Fake, ports: str, told: bool):
    """Ranges, several addresses of one port, and another protocol, which the message does not tell."""
    refusal = "driver failed: Bind for 127.0.0.1:8080 failed: port is already allocated"
    listed = _line("1a", "shop", "running", "", "", ports, *LABELS)
    engine = fake(f'if [ "$1" = ps ]; then {listed}; else echo {shlex.quote(refusal)} >&2; exit 125; fi')
    with pytest.raises(PortTakenError) as error:
        engine.call("start", "web")
    assert ("by container `shop`" in str(error.value)) is told
    assert ("docker still has it reserved" in error.value.hint) is not told


def test_nobody_is_blamed_where_the_engine_does_not_tell(fake: Fake):
    """That nobody publishes a port is said only after a look."""
    refusal = "driver failed: Bind for 127.0.0.1:8080 failed: port is already allocated"
    engine = fake(f'[ "$1" = ps ] || echo {shlex.quote(refusal)} >&2; exit 125')
    with pytest.raises(PortTakenError) as error:
        engine.call("start", "web")
    assert "ss -lntup" in error.value.hint


@pytest.mark.parametrize(("ports", "state", "told"), PUBLISHED)
def test_a_container_that_has_the_port_is_named(fake: Fake, ports: str, state: str, told: bool):
    """`ss` would name the engine only; one on another address, of another protocol or stopped is not meant."""
    refusal = "driver failed: listen tcp4 127.0.0.1:8080: bind: address already in use"
    listed = _line("1a", "shop", state, "", "", ports, *LABELS)
    engine = fake(f'if [ "$1" = ps ]; then {listed}; else echo {shlex.quote(refusal)} >&2; exit 125; fi')
    with pytest.raises(PortTakenError) as error:
        engine.call("start", "web")
    assert ("by container `shop`" in str(error.value)) == told
    assert ("ss -lntup" in error.value.hint) != told


def test_what_the_engine_says_never_acts_on_the_terminal(fake: Fake):
    engine = fake(r"printf 'bad \033[2J\377' >&2; exit 1")
    with pytest.raises(EngineError) as error:
        engine.call("run")
    assert error.value.lines() == [rf"`{engine.program} run` failed: bad \x1b[2J\udcff"]


def test_bytes_that_are_not_utf8_come_through(fake: Fake):
    assert fake(r"printf 'a\377b'").call("version").encode("utf-8", "surrogateescape") == b"a\xffb"


def test_an_engine_that_is_not_there_cannot_be_reached(tmp_path: Path):
    engine = Engine(str(tmp_path / "missing"), DOCKER)
    for ask in (lambda: engine.call("info"), lambda: engine.attach("info")):
        with pytest.raises(EngineUnreachableError, match="No such file or directory"):
            ask()


def test_secrets_reach_the_engine_through_its_environment(fake: Fake):
    engine = fake('echo "$TOKEN"; echo "$@"')
    assert engine.call("run", "--env", "TOKEN", secrets={"TOKEN": "hidden"}) == "hidden\nrun --env TOKEN\n"


SLOW = "web0"
STOPS = f"""
case $1 in
info) echo "{{}}";;
stop) shift; echo "$@" >> asked
  case " $* " in *" {SLOW} "*) for _ in $(seq 1000); do grep -q web29 asked && exit; sleep 0.01; done; exit 1; esac;;
esac
"""


def test_a_container_that_takes_its_time_keeps_no_other_from_being_stopped(fake: Fake, tmp_path: Path):
    engine = fake(f"cd {shlex.quote(str(tmp_path))}; {STOPS}")
    assert engine.stop(f"web{number}" for number in range(30)) == {}
    asked = [line.split() for line in _asked(tmp_path)]
    assert sorted(name for names in asked for name in names) == sorted(f"web{number}" for number in range(30))
    assert max(map(len, asked)) == DOCKER.changes_at_once[0][1]


def test_what_could_not_be_stopped_is_told_with_the_engines_reason(fake: Fake):
    up = json.dumps([_container("bad", "1")])
    engine = fake(f"case $1 in stop) echo 'cannot stop bad' >&2; exit 1;; *) echo {shlex.quote(up)};; esac")
    assert engine.stop(["good", "bad"]) == {"bad": "cannot stop bad"}
    assert engine.stop([]) == {}


def test_words_reach_the_engine_one_by_one(fake: Fake):
    assert fake('for word; do echo "<$word>"; done').call("run", "a b", "$(id)", "") == "<run>\n<a b>\n<$(id)>\n<>\n"


def test_attach_returns_the_exit_code(fake: Fake):
    assert fake("exit 7").attach("run") == 7


# --------------------------------------------------------------------------------------------------------- inspecting
def test_many_containers_are_one_question(answering: Callable[..., Engine], tmp_path: Path):
    engine = answering([_container("web", "1" * 64), _container("mail", "2" * 64)])
    assert [container.name for container in engine.containers(["web", "mail"])] == ["web", "mail"]
    assert _asked(tmp_path) == ["container inspect web mail"]


def test_nothing_is_asked_where_nothing_is_wanted(fake: Fake):
    assert fake("exit 1").containers([]) == []


@pytest.mark.parametrize(
    "stderr",
    ["Error: No such container: mail", "Error response from daemon: No such container: mail", "no such object"],
)
def test_those_that_are_missing_are_left_out(answering: Callable[..., Engine], stderr: str):
    engine = answering([_container("web", "1" * 64)], stderr, 1)
    assert [container.name for container in engine.containers(["web", "mail"])] == ["web"]


def test_a_refusal_is_not_taken_for_nothing_there(answering: Callable[..., Engine]):
    with pytest.raises(EngineError, match="disk on fire"):
        answering([], "disk on fire", 1).containers(["web"])


def test_a_name_that_is_the_beginning_of_anothers_id_is_not_that_one(answering: Callable[..., Engine]):
    """The engine takes `db` for the container whose id begins so: to stop or remove that would be a disaster."""
    engine = answering([_container("web", "db" + "1" * 62)])
    assert engine.containers(["db"]) == []
    assert not engine.is_up("db")


@pytest.mark.parametrize("word", ["web", "db1111111111", "db" + "1" * 62])
def test_a_container_is_found_by_name_and_by_id(answering: Callable[..., Engine], word: str):
    engine = answering([_container("web", "db" + "1" * 62)])
    assert [container.name for container in engine.containers([word])] == ["web"]


def test_a_network_whose_id_begins_as_a_name_is_not_that_one(answering: Callable[..., Engine]):
    engine = answering([{"Name": "front", "Id": "db1", "Driver": "bridge"}])
    assert engine.network("db") is None
    assert engine.network("front")


@pytest.mark.parametrize("answer", ["", "null", "[]"])
def test_an_empty_answer_is_nothing(fake: Fake, answer: str):
    assert fake(f"printf %s '{answer}'").containers(["web"]) == []


def test_an_answer_that_is_not_json_is_the_engines_fault(fake: Fake):
    with pytest.raises(EngineError, match="not JSON"):
        fake("echo Emulate Docker CLI using podman").containers(["web"])


def _line(*cells: str) -> str:
    return f"printf '%s\\n' {shlex.quote(chr(9).join(cells))}"


LABELS = ('""', '""', '""')


def test_running_containers_are_sorted_by_name(fake: Fake):
    """Of all rows, those that are up; with `stopped`, all of them."""
    rows = (("2b", "web", "running"), ("3c", "old", "exited"), ("1a", "mail", "paused"))
    engine = fake("\n".join(_line(*row, "", "", "", *LABELS) for row in rows))
    assert engine.running() == [("1a", "mail"), ("2b", "web")]
    assert engine.running(stopped=True) == [("1a", "mail"), ("3c", "old"), ("2b", "web")]


def test_a_row_is_read_whatever_labels_and_links_there_are(fake: Fake):
    """A label of somebody else's may hold tabs and quotes, a container may have further names by links to it."""
    labels = (r'"a\tb\"c"', '"prod"', '""')
    (row,) = fake(_line("1a", "web/db,db", "exited", "Exited (0) 2 hours ago", "db", "", *labels)).rows()
    assert row == Row("1a", "db", "exited", r"a\tb\"c", "prod", "", "Exited (0) 2 hours ago", "db")


def test_a_port_that_is_published_twice_is_listed_once(fake: Fake):
    """Engines publish on IPv4 and IPv6; ports that are not published are left out."""
    ports = "0.0.0.0:80->8080/tcp, [::]:80->8080/tcp, 443/tcp, 127.0.0.1:53->53/udp"
    (row,) = fake(_line("1a", "web", "running", "Up 2 hours", "web", ports, *LABELS)).rows()
    assert row.ports == {"8080/tcp": "0.0.0.0:80", "53/udp": "127.0.0.1:53"}


@pytest.mark.parametrize(
    ("status", "health", "uptime"),
    [
        ("Up 2 seconds", "", "2 seconds"),
        ("Up About a minute (healthy)", "healthy", "About a minute"),
        ("Up 2 hours (unhealthy)", "unhealthy", "2 hours"),
        ("Up 2 hours (health: starting)", "starting", "2 hours"),
        ("Up 2 seconds (Paused)", "", "2 seconds"),
        ("Up Less than a second ago (healthy)", "healthy", "Less than a second"),
        ("Paused", "", ""),
        ("Restarting (1) 3 seconds ago", "", ""),
        ("Exited (0) 2 hours ago", "", ""),
        ("", "", ""),
    ],
)
def test_what_engines_say_of_a_container_tells_health_and_uptime(status: str, health: str, uptime: str):
    row = Row("1a", "web", "running", status=status)
    assert (row.health, row.uptime) == (health, uptime)


# ------------------------------------------------------------------------------------------------------------- images
def _image(identifier: str, *tags: str, digests: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"Id": f"sha256:{identifier}", "Config": {"User": "web"}, "RepoTags": tags, "RepoDigests": digests}


ID, DIGEST = "a1" * 32, "b2" * 32


@pytest.mark.parametrize(
    ("tag", "asked"),
    [
        ("ktools/web:live", "ktools/web:live"),
        ("localhost/ktools/web:live", "ktools/web:live"),
        ("docker.io/library/httpd:2.4", "httpd:2.4"),
        ("docker.io/ktools/web:live", "ktools/web:live"),
        ("docker.io/library/httpd:latest", "httpd"),
        ("host:5000/web:latest", "host:5000/web"),
    ],
)
def test_an_image_is_found_by_each_engines_spelling_of_its_tag(answering: Callable[..., Engine], tag: str, asked: str):
    images = answering([_image(ID, tag)], "No such image", 1).images([asked, "other:latest"])
    assert images == {asked: Image(ID, "web", (tag,), content=ID)}


@pytest.mark.parametrize("asked", [ID, f"sha256:{ID}", ID[:12]])
def test_an_image_is_found_by_its_id(answering: Callable[..., Engine], asked: str):
    assert set(answering([_image(ID)]).images(["ktools/web:live", asked])) == {asked}


def test_an_image_is_found_by_its_digest(answering: Callable[..., Engine]):
    reference = f"ktools/web@sha256:{DIGEST}"
    engine = answering([_image(ID, digests=(reference,))])
    pinned = f"ktools/web:live@sha256:{DIGEST}"
    assert set(engine.images([reference, f"web@sha256:{DIGEST}", pinned])) == {reference, pinned}


def test_an_id_is_no_digest(answering: Callable[..., Engine]):
    """The engine would not find `ktools/web@sha256:ID`, and go and ask a registry for it."""
    asked = [f"ktools/web@sha256:{ID}", f"web@sha256:{ID}", f"sha256:{ID}"]
    assert set(answering([_image(ID, "ktools/web:latest")], "No such image", 1).images(asked)) == {f"sha256:{ID}"}


def test_one_reference_is_believed_without_comparing(answering: Callable[..., Engine]):
    """Whatever registry the engine found it under."""
    assert set(answering([_image(ID, "quay.io/web:live")]).images(["web:live"])) == {"web:live"}


# ------------------------------------------------------------------------------------------------------------ removing
def test_a_container_that_goes_by_itself_is_as_good_as_removed(answering: Callable[..., Engine]):
    answering([], "Error: No such container: web", 1).remove("web")


def test_a_container_that_somebody_else_removes_is_waited_for(fake: Fake, tmp_path: Path):
    """Whoever has something removed may count on it that it is gone."""
    there = json.dumps([_container("web", "1")])
    engine = fake(f"""cd {shlex.quote(str(tmp_path))}; echo "$1" >> asked
case $1 in
rm) echo "removal of container web is already in progress" >&2; exit 1;;
*) [ "$(grep -c container asked)" -gt 2 ] || {{ echo {shlex.quote(there)}; exit; }}
   echo "[]"; echo "Error: No such container: web" >&2; exit 1;;
esac""")
    engine.remove("web")
    assert _asked(tmp_path) == ["rm", "container", "container", "container"]


def test_a_container_that_cannot_be_removed_is_an_error(answering: Callable[..., Engine]):
    with pytest.raises(EngineError, match="device busy"):
        answering([], "device busy", 1).remove("web")


# ------------------------------------------------------------------------------------------------------------- finding
@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory that is all of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def _install(directory: Path, name: str, text: str = "#!/bin/sh\n") -> None:
    (directory / name).write_text(text)
    (directory / name).chmod(0o755)


@pytest.mark.parametrize(
    ("installed", "wanted", "program", "dialect"),
    [
        (["docker", "podman"], None, "docker", DOCKER),
        (["podman"], None, "podman", PODMAN),
        (["docker", "podman"], "podman", "podman", PODMAN),
    ],
)
def test_the_engine_is_the_configured_one_else_docker_else_podman(
    path: Path, installed: list[str], wanted: str | None, program: str, dialect: Dialect
):
    for name in installed:
        _install(path, name)
    engine = find_engine(wanted)
    assert (engine.program, engine.dialect) == (program, dialect)


def test_an_engine_may_be_named_by_its_path(path: Path):
    _install(path, "podman-5")
    assert find_engine(str(path / "podman-5")).dialect is PODMAN


def test_a_docker_that_is_podman_in_disguise_is_podman(path: Path):
    _install(path, "docker", '#!/bin/sh\nexec /usr/bin/podman "$@"\n')
    assert find_engine(None).dialect is PODMAN


def test_a_docker_that_is_a_link_to_podman_is_podman(path: Path):
    _install(path, "podman")
    (path / "docker").symlink_to("podman")
    assert find_engine(None).dialect is PODMAN


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(("wanted", "what"), [(None, "docker or podman"), ("podman", "podman")])
def test_no_engine_at_all_is_an_error_that_says_what_to_do(wanted: str | None, what: str):
    with pytest.raises(EngineUnreachableError) as error:
        find_engine(wanted)
    assert error.value.lines() == [f"{what}: not installed", "hint: install it, or name another in DOCKER_EXEC"]


def test_a_path_that_leads_nowhere_is_wrong_usage(path: Path):
    with pytest.raises(UsageError, match="no such program"):
        find_engine(f"{path}/docker")


@pytest.mark.parametrize(
    ("program", "dialect"),
    [
        ("/usr/bin/docker", DOCKER),
        ("/usr/bin/podman", PODMAN),
        ("podman-remote", PODMAN),
        ("/opt/podman/bin/docker", DOCKER),
    ],
)
def test_a_program_is_known_by_its_own_name(program: str, dialect: Dialect):
    assert dialect_of(program) is dialect


@pytest.mark.parametrize("dialect", [DOCKER, PODMAN], ids=lambda dialect: dialect.name)
def test_every_flag_of_a_log_driver_is_text(dialect: Dialect):
    assert {type(word) for words in dialect.logs.values() for word in words} == {str}


HALF_WRITTEN = (
    f'Error: locating item named "manifest" for image with ID "{"4" * 64}" '
    "(consider removing the image to resolve the issue): file does not exist"
)


def test_half_written_image_is_removed(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that was cut short while podman made it keeps podman from answering: it goes, and that asks anew."""
    monkeypatch.setattr("dockyard.engine.engine.SETTLING", 0)
    gone = shlex.quote(str(tmp_path / "gone"))
    script = f"""[ "$1 $2" = "rmi --force" ] && {{ echo "$3" >{gone}; exit; }}
[ -e {gone} ] && {{ echo fine; exit; }}
printf %s {shlex.quote(HALF_WRITTEN)} >&2; exit 125"""
    assert fake(script, PODMAN).call("images") == "fine\n"
    assert (tmp_path / "gone").read_text() == f"{'4' * 64}\n"


def test_image_that_is_just_being_made_stays(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the same question has an answer a moment later, nothing is removed."""
    monkeypatch.setattr("dockyard.engine.engine.SETTLING", 0)
    once = shlex.quote(str(tmp_path / "once"))
    script = f"""[ "$1" = rmi ] && {{ echo removed >{once}; exit; }}
[ -e {once} ] && {{ cat {once}; exit; }}
echo whole >{once}; printf %s {shlex.quote(HALF_WRITTEN)} >&2; exit 125"""
    assert fake(script, PODMAN).call("images") == "whole\n"
