"""d surface and d-build --trim: what an image offers, what its Test uses of it, and an image of nothing else."""

import io
import json
import struct
import tarfile
from pathlib import Path
from typing import Any

import pytest

from dockyard.engine.engine import find_engine
from dockyard.surface.measure import measure
from dockyard.surface.tree import Tree
from tests.engines.world import (
    BASE,
    FROM_BASE,
    LABEL,
    OURS,
    REPO,
    World,
    await_page,
    copy_example,
    free_port,
    service_port,
    write,
)

ODD = f"""\
FROM {BASE}
LABEL {LABEL}
COPY files /
RUN cp /usr/bin/busybox /usr/bin/su && chmod 4755 /usr/bin/su && mkdir /srv && touch /srv/open && chmod 666 /srv/open
"""
TEST = """\
#!/usr/bin/env dockyard-python
from dockyard.testing import Container, main

def test_it(container: Container) -> None:
    {body}

main()
"""
READY = 'container.expect_log("ready")'


def surface(engine: World, service: Path, *flags: str) -> Any:  # noqa: ANN401 - as JSON has it
    """Return what d surface tells of a service, as data."""
    return json.loads(engine.d("surface", service.name, *flags, "--json").stdout)


def tree_of(engine: World, reference: str) -> Tree:
    """Return all that an image has."""
    client = find_engine(engine.engine)
    return measure(client, client.images([reference])[reference]).tree


def served(engine: World, start: str, test: str = READY, **settings: Any) -> Path:  # noqa: ANN401 - settings
    """Make a service whose first process is a script, and its Test; files to open are there."""
    files = {
        "usr/bin/start": f"#!/bin/sh\n{start}\n",
        "etc/first": "first",
        "etc/second": "second",
        "etc/flag": "flag",
        "etc/never": "never",
    }
    dockerfile = f'{FROM_BASE}CMD ["/usr/bin/start"]\n'
    settings = {"stop_timeout": 0, **settings}
    return engine.service(settings, dockerfile=dockerfile, files=files, scripts={"Test": TEST.format(body=test)})


@pytest.mark.matrix
@pytest.mark.long("podman")
def test_what_an_image_offers(engine: World) -> None:
    """Programs, what gives rights, what everybody may write to, who can log in; and nothing was launched for it."""
    accounts = {"etc/passwd": "root:x:0:0::/:/bin/sh\nweb:x:8:8::/:/bin/false\n", "etc/shadow": "root::1::::::\n"}
    service = engine.service("", dockerfile=ODD, files={**accounts, "usr/bin/hello": "#!/bin/sh\n"})
    engine.d_build(service)
    before = engine.listing()
    found = surface(engine, service)["surface"]
    assert engine.listing() == before
    assert set(found["elf"]) == {"/usr/bin/busybox", "/usr/bin/su"}
    assert set(found["scripts"]) == {"/usr/bin/hello"}
    assert (found["executables"], found["setuid"]) == (3, ["/usr/bin/su"])
    assert {"/bin/sh", "/usr/bin/busybox"} <= set(found["shells"])
    assert "/bin/awk" in found["interpreters"]
    assert "/bin/dpkg" in found["package_managers"]
    assert "/srv/open" in found["world_writable"]
    assert [(one["name"], one["password"]) for one in found["logins"]] == [("root", "empty")]


@pytest.mark.matrix
@pytest.mark.long("podman")
def test_an_image_is_read_as_a_container_sees_it(engine: World) -> None:
    """What a layer deleted or replaced is gone: the names are those that the engine itself exports."""
    dockerfile = f"{ODD}RUN rm -r /etc/old /usr/bin/su && mkdir /etc/old && touch /etc/old/new\n"
    service = engine.service("", dockerfile=dockerfile, files={"etc/old/gone": "x", "etc/text": "x"})
    engine.d_build(service)
    reference = f"{REPO}/{service.name}:latest"
    names = exported(engine, reference)
    own = {
        "/dev",
        "/proc",
        "/sys",
        "/run",
        "/.dockerenv",
        "/etc/hosts",
        "/etc/hostname",
        "/etc/resolv.conf",
        "/etc/mtab",
    }
    tree = {path for path in tree_of(engine, reference) if path != "/"}

    def others(paths: set[str]) -> set[str]:
        return {path for path in paths if not any(path == one or path.startswith(f"{one}/") for one in own)}

    assert others(tree) == others(names)
    assert "/etc/old/new" in tree
    assert not {"/etc/old/gone", "/usr/bin/su"} & tree


def exported(engine: World, reference: str) -> set[str]:
    """Return the paths of a container's files as the engine exports them."""
    path = engine.root / "exported.tar"
    container = engine.call("create", "--label", LABEL, reference, "/none").strip()
    try:
        engine.call("export", "--output", str(path), container)
    finally:
        engine.call("rm", container)
    with tarfile.open(path) as tar:
        names = {f"/{name.removeprefix('./').rstrip('/')}" for name in tar.getnames()}
    path.unlink()
    return names - {"/", "/."}


@pytest.mark.long("podman")
def test_what_came_and_went_since_the_image_before(engine: World) -> None:
    service = engine.service("", dockerfile=FROM_BASE, files={"usr/bin/one": "#!/bin/sh\n"})
    engine.d_build(service, "-a")
    (service / "files/usr/bin/one").unlink()
    write(service / "files/usr/bin/two", "#!/bin/sh\n", mode=0o755)
    engine.d_build(service, "-a")
    found = surface(engine, service)["previous"]["differences"]
    assert found == [{"kind": "executables", "came": ["/usr/bin/two"], "went": ["/usr/bin/one"]}]
    text = engine.d("surface", service.name).stdout
    assert "  + executables: /usr/bin/two\n  - executables: /usr/bin/one\n" in text


@pytest.mark.long("podman")
def test_nothing_is_missed_at_the_start_and_the_tests_own_is_apart(engine: World) -> None:
    """A file that the first process reads at once counts; one that the Test has opened inside does not."""
    start = "read line </etc/first; (read line </etc/second); echo ready; exec sleep 600"
    service = served(engine, start, 'container.expect_log("ready"); container.exec("cat", "/etc/never")')
    engine.d_build(service)
    used = surface(engine, service, "--used")["used"]
    assert {"/etc/first", "/etc/second", "/usr/bin/start", "/usr/bin/busybox"} <= set(used["service"])
    assert used["test"] == ["/etc/never"]
    assert engine.containers(service.name) == []


@pytest.mark.long("podman")
def test_each_of_many_starts_is_recorded_from_its_beginning(engine: World) -> None:
    """Ten times: the script is all that runs, and it has ended before anybody could look."""
    start = "read line </etc/first; echo ready; read line </etc/second; sleep 600"
    service = served(engine, start)
    engine.d_build(service)
    for _ in range(10):
        assert {"/etc/first", "/etc/second"} <= set(surface(engine, service, "--used")["used"]["service"])


@pytest.mark.long("podman")
def test_a_container_that_its_test_starts_anew_is_recorded_again(engine: World) -> None:
    """What it opens at its second start alone is the service's need as well."""
    start = "[ -e /again ] && { read line </etc/second; echo again; }\n: >/again; echo ready; exec sleep 600"
    restart = f'import subprocess; subprocess.run(("{engine.engine}", "restart", container.name), check=True)'
    service = served(engine, start, f'container.expect_log("ready"); {restart}; container.expect_log("again")')
    engine.d_build(service)
    assert "/etc/second" in surface(engine, service, "--used")["used"]["service"]


@pytest.mark.long("podman")
def test_a_health_check_is_the_services_own(engine: World) -> None:
    """An engine runs it as it runs what a Test asks for; what it opens is needed all the same."""
    check = {"cmd": "cat /etc/second", "interval": "300ms", "timeout": "2s", "start_period": "1s"}
    body = 'container.expect_log("ready"); container.wait_ready(); container.exec("cat", "/etc/never")'
    service = served(engine, "echo ready; exec sleep 600", body, healthcheck=check)
    engine.d_build(service)
    used = surface(engine, service, "--used")["used"]
    assert "/etc/second" in used["service"]
    assert used["test"] == ["/etc/never"]


@pytest.mark.long("podman")
def test_an_image_that_does_not_get_healthy_is_not_kept(engine: World) -> None:
    """What a health check only looks for is not seen: the Test is not enough to keep what came of it."""
    check = {"cmd": "test -e /etc/second", "interval": "300ms", "timeout": "2s", "retries": 2}
    service = served(engine, "echo ready; exec sleep 600", READY, healthcheck=check)
    engine.d_build(service, "-a")
    tags = engine.tags(service.name)
    done = engine.d_build(service, "-a", "--trim", expect=1)
    assert "the Test fails on the trimmed image" in done.stderr
    assert engine.tags(service.name) == tags


@pytest.mark.matrix
def test_the_example_web_ends_with_what_it_needs_and_no_shell(engine: World, record_property: Any) -> None:  # noqa: ANN401
    """Its Test passes on the trimmed image, production runs on it, and an unchanged source is not built again."""
    web = engine.web()
    engine.d_build(web)
    before = surface(engine, web)["surface"]
    done = engine.d_build(web, "-a", "--trim")
    tags = engine.tags(web.name)
    assert tags["live"] == tags["latest"] != engine.image_id(f"{REPO}/{web.name}:untrimmed")
    found = surface(engine, web)
    now = found["surface"]
    assert found["trimmed"] == engine.image_id(f"{REPO}/{web.name}:untrimmed")
    assert (list(now["elf"]), now["scripts"], now["names"]) == (["/usr/bin/civetweb"], {}, [])
    assert (now["shells"], now["interpreters"], now["package_managers"], now["logins"]) == ([], [], [], [])
    assert "shells: none" in done.stdout
    assert "unchanged" in engine.d_build(web, "-t").stderr
    assert engine.tags(web.name) == tags
    engine.d_run(web)
    await_page(service_port(web), "It works")
    sizes = [f"{one['executables']} executables, {one['executable_bytes']} bytes" for one in (before, now)]
    record_property("figure", f"{engine.engine} web trimmed: {' → '.join(sizes)}")


def test_the_example_redis_ends_with_what_its_health_check_needs(engine: World, record_property: Any) -> None:  # noqa: ANN401
    """Its Test passes on the trimmed image, and production gets healthy, though its Test is over before any check."""
    redis = engine.source / f"{OURS}redis"
    copy_example("redis", redis)
    settings = (redis / "settings.yaml").read_text().replace("6379:6379", f"{free_port()}:6379")
    write(redis / "settings.yaml", settings)
    write(redis / "Dockerfile", f"{(redis / 'Dockerfile').read_text()}LABEL {LABEL}\n")
    engine.d_build(redis)
    before = surface(engine, redis)["surface"]
    engine.d_build(redis, "-a", "--trim")
    now = surface(engine, redis)["surface"]
    assert sorted(now["elf"]) == ["/usr/bin/busybox", "/usr/bin/redis-cli", "/usr/bin/redis-server"]
    assert now["names"] == ["/bin/sh"]  # which has grep in it
    assert now["package_managers"] == []
    engine.d("up", redis.name, timeout=120)
    sizes = [f"{one['executables']} executables, {one['executable_bytes']} bytes" for one in (before, now)]
    record_property("figure", f"{engine.engine} redis trimmed: {' → '.join(sizes)}")


@pytest.mark.matrix
@pytest.mark.long("podman")
def test_what_stays_is_as_it_was(engine: World) -> None:
    """Owner, mode, time, attributes and links of each file, all directories, and the configuration but for a label."""
    web = engine.web(keep="/usr/bin/capable")
    pack_capable(web / "capable.tar")
    extra = (
        "USER 0\nADD capable.tar /\nENV ODD='a \"b\" $c'\nWORKDIR /srv\nSTOPSIGNAL SIGINT\nONBUILD RUN true\n"
        "RUN mkdir -p /first/in && echo x >/first/in/file && chown 7:8 /first/in/file && chmod 4750 /first/in/file "
        "&& ln /first/in/file /first/in/hard && ln -s in/file /first/soft && mkdir -m 2711 /empty\n"
        "VOLUME /first\nUSER web\n"
    )
    dockerfile = (web / "Dockerfile").read_text()
    write(web / "Dockerfile", dockerfile.replace("USER web\n", extra))
    engine.d_build(web, "--trim")
    whole, trimmed = (tree_of(engine, f"{REPO}/{web.name}:{tag}") for tag in ("untrimmed", "latest"))
    seconds = 10**9

    def facts(tree: Tree, path: str) -> tuple[object, ...]:
        one = tree[path].facts
        time = one.times[1] // seconds if tree[path].is_file else 0
        return (one.format, one.mode, one.owner, one.size, one.target, dict(one.attributes), time)

    assert {path for path, entry in whole.items() if entry.is_directory} <= trimmed.keys()
    assert {path: facts(trimmed, path) for path in trimmed} == {path: facts(whole, path) for path in trimmed}
    assert trimmed["/first/in/hard"].inode == trimmed["/first/in/file"].inode
    assert {"/first/in/file", "/first/soft", "/empty"} <= trimmed.keys()
    assert "security.capability" in trimmed["/usr/bin/capable"].facts.attributes
    before, now = (configuration(engine, web, tag) for tag in ("untrimmed", "latest"))
    assert now["Labels"].pop("dockyard.trimmed-for")
    assert now["Labels"].pop("dockyard.trimmed") == engine.image_id(f"{REPO}/{web.name}:untrimmed")
    assert now == before


def pack_capable(path: Path) -> None:
    """Write a tar with a program that has a capability: some engines take it from there alone."""
    member = tarfile.TarInfo("usr/bin/capable")
    value = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)
    member.mode, member.size = 0o755, 13
    member.pax_headers = {"SCHILY.xattr.security.capability": value.decode("utf-8", "surrogateescape")}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(member, io.BytesIO(b"#!/bin/false\n"))


def configuration(engine: World, service: Path, tag: str) -> dict[str, Any]:
    """Return how an image is to be run."""
    answer = json.loads(engine.call("image", "inspect", f"{REPO}/{service.name}:{tag}"))[0]["Config"]
    return {name: value for name, value in answer.items() if name != "Image" and value}


@pytest.mark.long("podman")
def test_what_is_only_looked_for_has_to_be_kept_by_name(engine: World) -> None:
    """Nobody opens it, so it is not seen; the Test tells, nothing is kept of the trimmed image, and `keep` helps."""
    start = "[ -e /etc/flag ] || { echo /etc/flag is missing; exit 3; }\necho ready; exec sleep 600"
    service = served(engine, start)
    engine.d_build(service, "-a")
    tags, images = engine.tags(service.name), engine.call("images", "--quiet", "--no-trunc").split()
    done = engine.d_build(service, "-a", "--trim", expect=1)
    assert "the Test fails on the trimmed image, which is discarded" in done.stderr
    assert "/etc/flag" in done.stderr.rpartition("hint:")[2]
    assert engine.tags(service.name) == tags
    assert set(engine.call("images", "--quiet", "--no-trunc").split()) == set(images)
    write(service / "settings.yaml", json.dumps({"stop_timeout": 0, "keep": "/etc/flag"}))
    engine.d_build(service, "-a", "--trim")
    now = tree_of(engine, f"{REPO}/{service.name}:live")
    assert "/etc/flag" in now
    assert "/etc/never" not in now
    assert {path for path in now if path.startswith("/bin/")} == {"/bin/sh"}


@pytest.mark.long("podman")
def test_trimming_again_begins_with_the_whole_image(engine: World) -> None:
    """What one trimming left out another one can keep, without a build."""
    service = served(engine, "echo ready; exec sleep 600")
    engine.d_build(service, "--trim")
    assert "/etc/flag" not in tree_of(engine, f"{REPO}/{service.name}:latest")
    write(service / "settings.yaml", json.dumps({"stop_timeout": 0, "keep": ["/etc/f*"]}))
    done = engine.d_build(service, "--trim")
    assert "unchanged" in done.stderr
    assert {"/etc/flag", "/etc/first"} <= tree_of(engine, f"{REPO}/{service.name}:latest").keys()


@pytest.mark.matrix
@pytest.mark.long("podman")
def test_trimming_as_a_setting(engine: World) -> None:
    """Every build is trimmed, anew where the source, the Test or `keep` has changed, and only then."""
    start = "read _ </etc/first; echo ready; exec sleep 600"
    service = served(engine, start, trim=True)
    reference = f"{REPO}/{service.name}:live"

    def upgraded(*missing: str, there: str = "/etc/first") -> None:
        assert "d-build --trim" in engine.d("upgrade", service.name, "-n").stdout
        engine.d("upgrade", service.name)
        paths = tree_of(engine, reference).keys()
        assert there in paths
        assert not paths & set(missing)
        assert "up to date" in engine.d("upgrade", service.name).stdout
        assert "up to date" in engine.d("upgrade", service.name, "-n").stdout

    upgraded("/etc/second", "/etc/never", "/etc/flag")
    write(service / "settings.yaml", json.dumps({"stop_timeout": 0, "trim": True, "keep": ["/etc/f*"]}))
    outlined = engine.d("upgrade", service.name, "-n")
    assert "not trimmed as its settings require" in outlined.stderr
    assert f"{engine.engine} build" not in outlined.stdout
    upgraded("/etc/second", there="/etc/flag")
    write(service / "Test", TEST.format(body=f'{READY}; container.exec("true")'), 0o755)
    assert "the Test fails on the trimmed image" in engine.d("upgrade", service.name, expect=1).stderr
    assert "/etc/flag" in tree_of(engine, reference)
    write(service / "Test", TEST.format(body=READY), 0o755)
    write(service / "files/usr/bin/start", f"#!/bin/sh\nread _ </etc/second; {start}\n", 0o755)
    done = engine.d_build(service, "-a")
    assert "recording what it opens" in done.stderr
    assert "/etc/second" in tree_of(engine, reference)
    assert "unchanged" not in engine.d_build(service).stderr
    assert engine.tags(service.name)["latest"] == engine.tags(service.name)["live"]
    engine.d_build(service, "--clean")
    assert not engine.image_id(f"{REPO}/{service.name}:untrimmed")
    assert engine.tags(service.name)["live"]


@pytest.mark.parametrize("test", ["#!/bin/sh\nexit 0\n", "#!/bin/sh\nexit 1\n", ""])
def test_without_a_test_that_launches_and_passes_nothing_is_trimmed(engine: World, test: str) -> None:
    """No Test, one that fails, one that launches nothing: none tells what is needed."""
    service = engine.plain(**({"Test": test} if test else {}))
    engine.d_build(service)
    tags = engine.tags(service.name)
    done = engine.d_build(service, "-a", "--trim", expect=None)
    assert done.exit_code == (1 if test else 2)
    assert engine.tags(service.name) == tags


@pytest.mark.long("podman")
def test_a_base_of_others_is_not_trimmed(engine: World) -> None:
    """What is built from it would lose what it takes from there; the services are named, and nothing has changed."""
    base = engine.plain()
    other = engine.service("", dockerfile=f"FROM {REPO}/{base.name}:latest\nLABEL {LABEL}\n")
    done = engine.d_build(base, "--trim", expect=2)
    assert f"{base.name} is not trimmed: {other.name} would lose" in done.stderr
    assert engine.image_id(f"{REPO}/{base.name}:latest") == ""


@pytest.mark.parametrize("flag", ["--setlive", "--rollback", "--push", "--clean", "--only-test", "--tag=x"])
def test_trim_goes_with_no_other_work(engine: World, flag: str) -> None:
    """--trim builds and tests by itself; only --auto and --test go with it."""
    assert "--trim" in engine.d_build(engine.plain(), "--trim", flag, expect=2).stderr
