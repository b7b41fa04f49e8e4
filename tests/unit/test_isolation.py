"""Instances under test against the production of every service of a host: real settings, real paths, no engine."""

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from dockyard import host, launch
from dockyard.cli.verbs.check import check
from dockyard.engine.dialect import DOCKER
from dockyard.engine.engine import Engine
from dockyard.engine.models import Container, IdMap, Image, Network, Row
from dockyard.errors import Problem, SettingsError
from dockyard.plan.launch import LaunchOptions, LaunchPlan
from dockyard.service import Service
from dockyard.settings.values import Mode
from dockyard.yard import Yard
from tests.unit.making import GOLDEN

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


class Harbour(Engine):
    """An engine that has every image and network, and no container."""

    def __init__(self) -> None:
        super().__init__("/nonexistent/docker", DOCKER)

    def images(self, references: Iterable[str]) -> dict[str, Image]:
        return dict.fromkeys(references, Image("1" * 64, layers=(str(GOLDEN),)))

    def networks(self, names: Iterable[str]) -> dict[str, Network]:
        return {name: Network(name, "bridge") for name in names}

    def rows(self) -> list[Row]:
        return []

    def containers(self, names: Iterable[str]) -> list[Container]:
        assert [*names]
        return []

    def all_containers(self, *filters: str, stopped: bool = False) -> list[Container]:  # noqa: ARG002
        assert not stopped
        return []

    id_map = IdMap()  # type: ignore[assignment]


class World:
    """A host's services, in `src` and `private`, with their data below `dv`."""

    def __init__(self, top: Path) -> None:
        self.top = top
        for directory in ("src", "private", "dv"):
            (top / directory).mkdir()

    def service(self, name: str, settings: str = "", *, directory: str = "src", file: str = "settings.yaml") -> Service:
        path = self.top / directory / name
        path.mkdir(exist_ok=True)
        (path / file).write_text(self.filled(settings))
        (path / "settings.yaml").touch()
        return Service(path)

    def filled(self, text: str) -> str:
        """Return a text in which {dv} and {top} stand for directories."""
        return text.replace("{dv}", f"{self.top}/dv").replace("{top}", str(self.top))

    def yard(self) -> Yard:
        yard = Yard()
        yard.__dict__["engine"] = Harbour()
        return yard

    def plan(self, service: Service, mode: Mode = Mode.TEST, *, file: str = "") -> LaunchPlan:
        yard = self.yard()
        options = LaunchOptions(directory=str(service.directory), file=file)
        return launch.plan(yard, service, yard.load(service, mode, file=file), options)

    def problems(self, service: Service, mode: Mode = Mode.TEST, *, file: str = "") -> list[Problem]:
        """Return why an instance is refused; none where it is not."""
        try:
            self.plan(service, mode, file=file)
        except SettingsError as error:
            return error.problems
        return []


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    for name in [name for name in os.environ if name.startswith(("D_", "DOCKER", "KTOOLS", "DBUILD", "DOCKYARD"))]:
        monkeypatch.delenv(name)
    found = World(tmp_path)
    for name, value in (
        *(("HOME", tmp_path), ("DOCKER_VOL_BASE", tmp_path / "dv"), ("DOCKYARD_PUID", "x")),
        *(("D_SRC_DIR", tmp_path / "src"), ("D_SRC_DIR2", tmp_path / "private")),
    ):
        monkeypatch.setenv(name, str(value))
    monkeypatch.chdir(tmp_path)
    return found


MAIL = "src/mail/settings.yaml"
CONFLICTS = [
    # ours, the other one's; our line, what would be shared, and by which line of production
    ("", "name: test-web", ("the directory's name", "container name `test-web`", f"{MAIL}:1")),
    (
        "name: shop\ntest_name_prefix: ''",
        "# a comment\nname: shop",
        ("src/web/settings.yaml:1", "container name `shop`", f"{MAIL}:2"),
    ),
    (
        "ports: [80:80]",
        "ports: [10080:1]",
        ("src/web/settings.yaml:1", "host port `127.0.0.1:10080:80` (there `0.0.0.0:10080:1`)", f"{MAIL}:1"),
    ),
    (
        "test_ports: [53:53/udp]",
        "ports: [53:53, 53:53/udp]",
        ("src/web/settings.yaml:1", "host port `127.0.0.1:53:53/udp` (there `0.0.0.0:53:53/udp`)", f"{MAIL}:1"),
    ),
    (
        "test_network: net\ntest_ip: 10.0.0.9\ntest_subnet:",
        "network: net\nip: 10.0.0.9",
        ("src/web/settings.yaml:2", "address `10.0.0.9`", f"{MAIL}:2"),
    ),
    (
        "mount_devices: [/dev/tty]",
        "extra_docker: --device /dev/tty:/dev/x",
        ("src/web/settings.yaml:1", "device `/dev/tty`", f"{MAIL}:1"),
    ),
    (
        "extra_docker: -v '{dv}/mail/spool:/x'",
        "mount_rw: [spool: /y]",
        ("src/web/settings.yaml:1", "path `{dv}/mail/spool`", f"{MAIL}:1:12"),
    ),
    (
        "mount_test_only: ['{top}/fixtures': /x]",
        "mount_ro:\n  - {top}/fixtures/a: /y",
        ("src/web/settings.yaml:1:19", "path `{top}/fixtures` (there `{top}/fixtures/a`)", f"{MAIL}:2:5"),
    ),
    (
        "mount_test_only: ['{top}/fix*': /x/]",
        "mount_rw: ['{top}/f*': /y/]",
        ("src/web/settings.yaml:1:19", "path `{top}/fixtures`", f"{MAIL}:1:12"),
    ),
    (
        "extra_docker: -v spool:/x",
        "extra_docker: --mount source=spool,target=/y",
        ("src/web/settings.yaml:1", "volume `spool`", f"{MAIL}:1"),
    ),
    ("extra_docker: --volumes-from mail", "", ("src/web/settings.yaml:1", "container `mail`", "the directory's name")),
    ("test_network: container:mail", "", ("src/web/settings.yaml:1", "container `mail`", "the directory's name")),
]


@pytest.mark.parametrize(("ours", "theirs", "told"), CONFLICTS)
def test_what_would_be_shared_is_an_error_that_names_both_places(
    world: World, ours: str, theirs: str, told: tuple[str, str, str]
):
    (world.top / "fixtures/a").mkdir(parents=True)
    world.service("mail", theirs)
    (problem,) = [one for one in world.problems(world.service("web", ours)) if "`mail`, " in one.message]
    where, what, place = (world.filled(text) for text in told)
    name = "shop" if "shop" in ours else "test-web"
    assert problem.where == where
    assert problem.message == f"{name} would share {what} with production of `mail`, {place}"
    assert problem.hint


def test_a_hint_says_how_tests_get_their_own(world: World):
    world.service("mail", "ports: [10080:1]")
    (problem,) = world.problems(world.service("web", "ports: [80:80]"))
    assert problem.hint == "give tests others with `test_ports`, or free ones with `port_offset: auto`"


def test_dev_is_held_to_it_too_and_production_is_not(world: World):
    world.service("mail", "name: dev-web\nports: [10080:1]")
    web = world.service("web", "ports: [80:80]\n")
    assert len(world.problems(web, Mode.DEV)) == 2
    assert world.problems(web, Mode.PROD) == []


def test_all_that_would_be_shared_is_told_at_once(world: World):
    world.service("mail", "ports: [10080:1]\nextra_docker: -v x:/x")
    world.service("shop", "name: test-web")
    assert len(world.problems(world.service("web", "ports: [80:80]\nextra_docker: -v x:/x"))) == 4


def test_an_instance_is_compared_with_its_own_production_too(world: World):
    (problem,) = world.problems(world.service("web", "extra_docker: -v spool:/x"))
    assert "volume `spool` with production of `web`, src/web/settings.yaml:1" in problem.message


def test_services_of_both_directories_count(world: World):
    world.service("mail", "name: test-web", directory="private")
    assert [problem.message for problem in world.problems(world.service("web"))] == [
        "test-web would share container name `test-web` with production of `mail`, private/mail/settings.yaml:1"
    ]


def test_a_copy_of_a_service_elsewhere_is_compared_with_the_one_in_production(world: World):
    """A developer's checkout has the same name; what runs in production is the host's own."""
    (world.top / "home").mkdir()
    world.service("web", "ports: [10080:80]")
    (problem,) = world.problems(world.service("web", "ports: [80:80]", directory="home"))
    assert problem.message.startswith("test-web would share host port `127.0.0.1:10080:80`")
    assert problem.message.endswith("with production of `web`, src/web/settings.yaml:1")


def test_another_settings_file_is_compared_with_production_of_either(world: World):
    web = world.service("web", "ports: [10080:80]")
    world.service("web", "extra_docker: -v spool:/x", file="settings-ro.yaml")
    ours = "ports: [80:80]\nextra_docker: -v spool:/x"
    world.service("web", ours, file="settings-own.yaml")
    assert [problem.message.partition(" with ")[2] for problem in world.problems(web, file="settings-own.yaml")] == [
        "production of `web`, src/web/settings-own.yaml:2",
        "production of `web`, src/web/settings.yaml:1",
    ]
    assert len(world.problems(web, file="settings-ro.yaml")) == 1


def test_words_for_the_program_inside_are_no_flags(world: World):
    world.service("mail", "name: node\nports: [80:80]\nextra_docker: -v /srv:/srv")
    world.service("shop", "cmd: agent --name test-web")
    web = world.service("web", "cmd: agent --name node -p 80:80 -v /srv:/srv --privileged")
    assert world.plan(web).notes == ()


def test_settings_of_another_service_that_cannot_be_used_are_a_note(world: World):
    world.service("mail", "mount_rv: []\n")
    world.service("shop", "mount_rw: [a: /x, b: /x]\n")
    notes = world.plan(world.service("web")).notes
    assert [note.partition(" as its settings cannot be used: ")[0] for note in notes] == [
        "mail: not compared with its production container,",
        "shop: not compared with its production container,",
    ]
    assert "unknown key `mount_rv`" in notes[0]
    assert "`/x` is the target of both" in notes[1]


def test_one_that_cannot_be_compared_keeps_no_other_from_it(world: World):
    world.service("mail", "mount_rv: []\n")
    world.service("shop", "name: test-web\n")
    assert len(world.problems(world.service("web"))) == 1


@pytest.mark.parametrize(
    "missing",
    [
        *("mount_rw: ['/nonexistent': /x]", "mount_ro: [data: /data]", "user: ghost", "vols: [{path: a, contents: x}]"),
    ],
)
def test_production_that_could_not_be_launched_now_is_compared_all_the_same(world: World, missing: str):
    world.service("mail", f"{missing}\nports: [10080:80]")
    assert len(world.problems(world.service("web", "ports: [80:80]"))) == 1


def test_what_cannot_be_proven_is_a_note(world: World):
    web = world.service("web", "extra_docker: --privileged -v /run/docker.sock:/run/docker.sock:ro\ntest_network: host")
    assert world.plan(web).notes == (
        "test-web is not isolated from production: it is privileged",
        "test-web is not isolated from production: it shares the host's network",
        "test-web is not isolated from production: it can control the engine through `/run/docker.sock`",
    )


def test_an_address_that_production_finds_by_its_name_counts(world: World, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []

    def look_up(names: Iterable[str]) -> dict[str, str]:
        asked.extend(wanted := [*names])
        return {name: "10.0.0.9" for name in wanted if name == "mail.example.org"}

    monkeypatch.setattr(host, "addresses_of", look_up)
    world.service("mail", "network: net\nhostname: mail.example.org\n")
    web = world.service("web", "test_network: net\ntest_ip: 10.0.0.9\ntest_subnet:\n")
    (problem,) = world.problems(web)
    assert problem.message == "test-web would share address `10.0.0.9` with production of `mail`, default"
    asked.clear()
    assert world.problems(world.service("web")) == []
    assert asked == []  # who pins no address has nobody looked up


# ----------------------------------------------------------------------------------------------------- where paths are
MountAt = Callable[[Path, Path], None]


@pytest.fixture
def bind() -> Iterator[MountAt]:
    done: list[Path] = []

    def mount(source: Path, point: Path) -> None:
        point.mkdir(parents=True, exist_ok=True)
        subprocess.run(("mount", "--bind", source, point), check=True)  # noqa: S607
        done.append(point)

    yield mount
    for point in reversed(done):
        subprocess.run(("umount", point), check=True)  # noqa: S607


def test_a_link_to_productions_data_is_productions_data(world: World):
    (world.top / "dv/mail/spool").mkdir(parents=True)
    (world.top / "link").symlink_to("dv/mail")
    world.service("mail", "mount_rw: [spool: /spool]")
    (problem,) = world.problems(world.service("web", "mount_test_only: ['{top}/link/spool': /x]"))
    assert f"path `{world.top}/link/spool` (there `{world.top}/dv/mail/spool`)" in problem.message


@as_root
def test_a_bind_mount_of_productions_data_is_productions_data(world: World, bind: MountAt):
    (world.top / "dv/mail/spool").mkdir(parents=True)
    bind(world.top / "dv/mail", world.top / "mnt/mail")
    world.service("mail", "mount_rw: [spool: /spool]")
    (problem,) = world.problems(world.service("web", "mount_test_only: ['{top}/mnt': /x]"))
    assert f"path `{world.top}/mnt` (there `{world.top}/dv/mail/spool`)" in problem.message


@as_root
def test_productions_data_mounted_in_a_test_area_is_no_test_data(world: World, bind: MountAt):
    (world.top / "dv/mail/spool").mkdir(parents=True)
    bind(world.top / "dv/mail/spool", world.top / "dv/TMP/web/data")
    world.service("mail", "mount_ro: [spool: /spool]")
    (problem,) = world.problems(world.service("web", "mount_rw: [data: /data]"))
    assert f"path `{world.top}/dv/TMP/web/data` (there `{world.top}/dv/mail/spool`)" in problem.message
    assert problem.where == "src/web/settings.yaml:1:12"


def test_a_backup_that_reads_everything_shares_nothing(world: World):
    world.service("backup", "mount_ro: ['{dv}': /dv, /: /host]")
    assert world.problems(world.service("web", "mount_rw: [data: /data]\nmount_logs: [log: /log]")) == []


def test_one_that_writes_everywhere_leaves_nothing_for_tests(world: World):
    world.service("restore", "mount_rw: ['{dv}': /dv]")
    assert len(world.problems(world.service("web", "mount_rw: [data: /data]"))) == 1
    assert world.problems(world.service("web")) == []


def test_what_mount_persistent_names_is_shared_on_purpose(world: World):
    (world.top / "dv/web/mail").mkdir(parents=True)
    world.service("mail", "mount_ro: ['{dv}/web/mail': /mail]")
    plan = world.plan(world.service("web", "mount_persistent: [mail: /mail]"))
    assert plan.shared == (f"{world.top}/dv/web/mail",)
    assert plan.notes[0].endswith("is production's directory, and this instance can write to it")


@pytest.mark.parametrize("settings", ["mount_persistent_test_ro", "mount_ro"])
def test_what_is_only_read_is_not_shared(world: World, settings: str):
    (world.top / "dv/web/data").mkdir(parents=True)
    assert world.problems(world.service("web", f"{settings}: [data: /data]")) == []


# ------------------------------------------------------------------------------------------------------------ d check
def checked(world: World) -> tuple[list[tuple[str, str, str]], int]:
    """Return id, place and message of each error that `d check` tells of `web`, and its exit code."""
    result = check(world.yard(), "web", fail_on="error", sarif=False)
    rows = [row for row in result.data["points"] if row["severity"] == "error"]
    return [(row["id"], row["where"], row["message"]) for row in rows], result.exit_code


def test_a_service_with_nothing_wrong_is_ok(world: World):
    world.service("web", "mount_rw: [data: /data]\nports: [80:80]")
    assert checked(world) == ([], 0)


def test_what_is_shared_on_purpose_is_told_and_is_no_error(world: World):
    (world.top / "dv/web/mail").mkdir(parents=True)
    world.service("web", "mount_persistent: [mail: /mail]")
    result = check(world.yard(), "web", fail_on="error", sarif=False)
    message = f"`{world.top}/dv/web/mail` is production's directory, and test instances can write to it"
    assert f"src/web/settings.yaml:1:20: warning: {message} [mount-shared-with-tests]" in result.lines
    assert result.exit_code == 0


@as_root
def test_what_is_wrong_is_told_once_with_its_place_and_what_mends_it(world: World):
    (world.top / "dv/web/data").mkdir(parents=True, mode=0o700)
    world.service("mail", "name: test-web")
    world.service("web", "user: '33'\nmount_ro: [data: /data]")
    result = check(world.yard(), "web", fail_on="error", sarif=False)
    data, whose = f"{world.top}/dv/web/data", f"production of `mail`, {MAIL}:1"
    unusable = f"src/web/settings.yaml:2:12: error: `{data}` belongs to 0:0, mode 0700: user `33` cannot read it"
    shared = f"src/web/settings.yaml: error: test-web would share container name `test-web` with {whose}"
    assert result.lines.count(f"{unusable} [mount-unusable]") == 1
    assert f"  hint: setfacl -R -m u:33:rX {data}" in result.lines
    assert result.lines.count(f"{shared} [test-shares-production]") == 1
    assert "  hint: give each instance another `name_prefix`" in result.lines
    assert result.exit_code == 1


def test_settings_that_cannot_be_read_are_what_is_wrong(world: World):
    world.service("web", "mount_rv: []\nrm: maybe")
    points, exit_code = checked(world)
    assert [point[:2] for point in points] == [
        ("settings", "src/web/settings.yaml:1:1"),
        ("settings", "src/web/settings.yaml:2:5"),
    ]
    assert exit_code == 1


def test_checking_makes_nothing(world: World):
    world.service("web", "mount_rw: [data: /data]\nvols: [{path: f, contents: 'command:touch made'}]")
    before = sorted(world.top.rglob("*"))
    assert checked(world) == ([], 0)
    assert sorted(world.top.rglob("*")) == before
