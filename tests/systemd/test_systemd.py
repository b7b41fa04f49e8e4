"""A host that systemd runs as process 1: docker as Debian starts it, dockyard installed, its units, a user's own units.

They install, enable and remove on the whole host, in the order in which they are written here:

    scripts/world enter trixie:systemd --init systemd env DOCKYARD_TEST_HOST=1 .venv/bin/pytest tests/systemd
"""

import json
import os
import pwd
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SERVICES, VOLUMES, HOME = Path("/srv/services"), Path("/srv/volumes"), Path("/srv/sailor")
UNITS = Path("/usr/local/lib/systemd/system")
USER = "sailor"
SERVICE = "afloat"
IDLE = "trap exit TERM; while :; do /bin/busybox sleep 1; done"
DOCKERFILE = f'FROM scratch\nCOPY files /\nUSER 1000\nCMD ["/bin/busybox", "sh", "-c", "{IDLE}"]\n'
SETTINGS = "autostart: 1\nmount_rw: {data: /data}\nstop_timeout: 1\nnetwork: none\n"
STARTED = ("dockyard.service", "dockyard-upgrade.service")

pytestmark = pytest.mark.skipif(
    os.environ.get("DOCKYARD_TEST_HOST") != "1"
    or Path("/proc/1/comm").read_text(encoding="ascii").strip() != "systemd",
    reason="it takes a host of its own, which systemd runs: scripts/world enter trixie --init systemd",
)


def run(*argv: str, expect: int | None = 0) -> str:
    """Run a program, expect its exit code (None: any), and return its output."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/", stdin=subprocess.DEVNULL)
    text = done.stdout + done.stderr
    assert expect is None or done.returncode == expect, f"{' '.join(argv)}: {done.returncode}\n{text}"
    return text


def verify(*units: str) -> list[str]:
    """Return systemd's messages about these units, without those about other units that it loads."""
    said = run("systemd-analyze", "verify", *units).splitlines()
    return [line for line in said if "dockyard" in line]


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.2)


def make_service(services: Path) -> None:
    """Write a service that stays up."""
    directory = services / SERVICE
    (directory / "files/bin").mkdir(parents=True)
    busybox = directory / "files/bin/busybox"
    busybox.write_bytes(Path("/bin/busybox").read_bytes())
    busybox.chmod(0o755)
    (directory / "files/bin/sh").symlink_to("busybox")
    (directory / "Dockerfile").write_text(DOCKERFILE)
    (directory / "settings.yaml").write_text(SETTINGS)


def first_id(container: str, *engine: str) -> int:
    """Return the host's uid of root in a container."""
    pid = run(*(engine or ("docker",)), "inspect", "--format", "{{.State.Pid}}", container).strip()
    return int(Path("/proc", pid, "uid_map").read_text(encoding="ascii").split()[1])


def main_pid(unit: str) -> int:
    """Return the main process of a unit."""
    return int(run("systemctl", "show", "--property", "MainPID", "--value", unit))


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    """Install dockyard from this checkout, and set the host up."""
    run("make", "-C", str(REPOSITORY), "install")
    run("systemctl", "daemon-reload")
    make_service(SERVICES)
    run("d", "init", "--engine", "docker", "--src-dir", str(SERVICES), "--vol-base", str(VOLUMES))


def test_docker_is_as_debian_starts_it() -> None:
    """Docker runs by its unit, with systemd's cgroups, on the host's containerd."""
    assert run("systemctl", "is-active", "docker.service", "containerd.service").split() == ["active", "active"]
    asked = run("docker", "info", "--format", "{{.CgroupDriver}} {{.CgroupVersion}}")
    assert asked.split() == ["systemd", "2"]
    assert Path("/run/containerd/containerd.sock").is_socket()
    argv = Path("/proc", str(main_pid("docker.service")), "cmdline").read_bytes().split(b"\0")
    assert b"--containerd=/run/containerd/containerd.sock" in argv


def test_installed_units_are_right() -> None:
    """Systemd has no complaint about any unit."""
    units = sorted(map(str, UNITS.glob("dockyard*")))
    assert len(units) == 6
    assert verify(*units) == []


def test_every_unit_starts() -> None:
    """A service is upgraded and up; the watcher stays up; timers have a next time."""
    run("systemctl", "enable", "dockyard.service", "dockyard-cowscan.service")
    run("systemctl", "enable", "--now", "dockyard-upgrade.timer", "dockyard-cowscan-scan.timer")
    for unit in reversed(STARTED):
        run("systemctl", "start", unit)
        assert run("systemctl", "show", "--property", "Result", "--value", unit).strip() == "success"
    assert run("docker", "ps", "--format", "{{.Names}}").split() == [SERVICE]
    run("systemctl", "start", "dockyard-cowscan.service")
    time.sleep(3)
    assert run("systemctl", "is-active", "dockyard-cowscan.service").strip() == "active"
    timers = json.loads(run("systemctl", "list-timers", "--output=json", "dockyard*"))
    assert sorted(timer["unit"] for timer in timers if timer["next"]) == [
        "dockyard-cowscan-scan.timer",
        "dockyard-upgrade.timer",
    ]


def test_a_scan_on_the_clock_finds_nothing() -> None:
    """The unit succeeds: dockyard's containers have no unexpected changes."""
    run("systemctl", "start", "dockyard-cowscan-scan.service")


def test_a_container_is_in_systemds_groups_and_is_scanned_there() -> None:
    """A change is found, although containers are frozen in cgroups that systemd has created."""
    pid = run("docker", "inspect", "--format", "{{.State.Pid}}", SERVICE).strip()
    assert re.search(r"docker-[0-9a-f]{64}\.scope", Path("/proc", pid, "cgroup").read_text(encoding="ascii"))
    run(
        "docker",
        "exec",
        "--user",
        "0",
        SERVICE,
        "/bin/sh",
        "-c",
        "echo x >/bin/planted; /bin/busybox chmod 755 /bin/planted",
    )
    assert "/bin/planted" in run("d-cowscan", SERVICE, expect=1)
    run("systemctl", "start", "dockyard-cowscan-scan.service", expect=1)
    run("systemctl", "reset-failed", "dockyard-cowscan-scan.service")
    run("docker", "exec", "--user", "0", SERVICE, "/bin/busybox", "rm", "/bin/planted")


def test_users_are_mapped_by_a_restart_of_the_unit() -> None:
    """`enable --restart` restarts docker.service; an upgrade starts the service again, mapped; `disable` undoes it."""
    before = main_pid("docker.service")
    run("d", "userns", "enable", "--restart")
    assert main_pid("docker.service") not in {0, before}
    assert run("systemctl", "is-active", "docker.service").strip() == "active"
    run("systemctl", "start", "dockyard-upgrade.service")
    assert first_id(SERVICE) >= 100_000
    second = main_pid("docker.service")
    run("d", "userns", "disable", "--restart")
    assert main_pid("docker.service") not in {0, second}
    assert "maps no users" in run("d", "userns", "status")
    run("systemctl", "restart", "dockyard.service")
    assert first_id(SERVICE) == 0


def test_units_written_by_hand_win() -> None:
    """`d install-units` writes to /etc, which takes precedence; `--remove` does not touch the installation's units."""
    run("d", "install-units", "--time", "05:30")
    run("systemctl", "daemon-reload")
    shown = run("systemctl", "show", "--property", "FragmentPath", "--value", "dockyard-upgrade.timer").strip()
    assert shown == "/etc/systemd/system/dockyard-upgrade.timer"
    assert verify(*map(str, Path("/etc/systemd/system").glob("dockyard*"))) == []
    run("d", "install-units", "--remove", "--time", "05:30")
    run("systemctl", "daemon-reload")
    shown = run("systemctl", "show", "--property", "FragmentPath", "--value", "dockyard-upgrade.timer").strip()
    assert shown == f"{UNITS}/dockyard-upgrade.timer"


def as_user(*argv: str, expect: int | None = 0) -> str:
    """Run a program as the user, with the environment of a login."""
    user = pwd.getpwnam(USER)
    runtime = f"/run/user/{user.pw_uid}"
    variables = (
        *(f"HOME={HOME}", f"USER={USER}", f"LOGNAME={USER}", "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"),
        *(f"XDG_RUNTIME_DIR={runtime}", f"DBUS_SESSION_BUS_ADDRESS=unix:path={runtime}/bus"),
    )
    who = ("setpriv", "--reuid", USER, "--regid", USER, "--init-groups")
    return run(*who, "env", "-i", f"--chdir={HOME}", *variables, *argv, expect=expect)


def test_a_users_units_outlive_the_login() -> None:
    """With lingering, a user's podman services start with the user's manager, without a login."""
    run("apt-get", "install", "--yes", "--no-install-recommends", "libpam-systemd", "dbus-user-session")
    run("useradd", "--create-home", "--home-dir", str(HOME), USER)
    make_service(HOME / "services")
    host_file = HOME / ".config/dockyard/host.yaml"
    host_file.parent.mkdir(parents=True)
    host_file.write_text(f"engine: podman\nd_src_dir: {HOME}/services\nvol_base: {HOME}/data\n")
    run("chown", "--recursive", f"{USER}:{USER}", str(HOME))
    run("loginctl", "enable-linger", USER)
    manager = f"user@{pwd.getpwnam(USER).pw_uid}.service"
    wait_for(lambda: "active" in run("systemctl", "is-active", manager, expect=None).split(), manager)
    as_user("d", "upgrade", SERVICE)
    as_user("d", "install-units", "--cowscan", "timer")
    as_user("systemctl", "--user", "daemon-reload")
    as_user("systemctl", "--user", "enable", "dockyard.service")
    as_user("systemctl", "--user", "enable", "--now", "dockyard-upgrade.timer", "dockyard-cowscan-scan.timer")
    for unit in STARTED:
        as_user("systemctl", "--user", "start", unit)
    first = as_user("podman", "inspect", "--format", "{{.State.Pid}}", SERVICE).strip()
    assert Path("/proc", first, "uid_map").read_text(encoding="ascii").split()[1] == str(pwd.getpwnam(USER).pw_uid)
    run("systemctl", "stop", manager)
    run("systemctl", "start", manager)
    wait_for(
        lambda: as_user("systemctl", "--user", "is-active", "dockyard.service", expect=None).strip() == "active",
        "the user's dockyard.service",
    )
    assert as_user("podman", "ps", "--format", "{{.Names}}").split() == [SERVICE]


def test_a_users_scan_finds_nothing() -> None:
    """The user's unit succeeds, like the host's."""
    as_user("systemctl", "--user", "start", "dockyard-cowscan-scan.service")


def test_a_users_units_are_removed() -> None:
    """None of our files is left in systemd's directories for a user's units."""
    as_user("d", "down", SERVICE)
    as_user("systemctl", "--user", "disable", "--now", "dockyard.service", "dockyard-upgrade.timer")
    as_user("systemctl", "--user", "disable", "--now", "dockyard-cowscan-scan.timer")
    as_user("d", "install-units", "--remove")
    assert not list((HOME / ".config/systemd/user").glob("**/dockyard*"))


def test_uninstalling_leaves_nothing() -> None:
    """When its units are disabled, none of our files, links or users is left, except settings and history."""
    run("systemctl", "disable", "--now", "dockyard.service", "dockyard-cowscan.service")
    run("systemctl", "disable", "--now", "dockyard-upgrade.timer", "dockyard-cowscan-scan.timer")
    run("d", "down", SERVICE)
    run("make", "-C", str(REPOSITORY), "uninstall")
    run("systemctl", "daemon-reload")
    places = ("/usr/local", "/opt", "/etc/systemd", "/etc/sudoers.d", "/run/systemd", "/var/lib/systemd/timers")
    left = [path for place in places for path in Path(place).glob("**/*dockyard*") if os.path.lexists(path)]
    assert [path for path in left if path.parent != Path("/var/lib/systemd/timers")] == []
    assert "dockyard" not in run("systemctl", "list-unit-files", "--no-pager")
    assert run("systemctl", "list-units", "--failed", "--plain", "--no-legend", "dockyard*") == ""
    assert not Path("/etc/docker/daemon.json").exists()
    assert "dockremap" not in Path("/etc/subuid").read_text(encoding="ascii")
