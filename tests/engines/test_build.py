"""d-build: source → image → tested → live, and never anything live that was not meant to be."""

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.world import FROM_BASE, LABEL, REPO, World, free_port, wait_for, write

PASSES, FAILS = "#!/bin/sh\nexit 0\n", "#!/bin/sh\necho it leaks\nexit 1\n"
BROKEN = f"FROM {REPO}/dyt-base:latest\nLABEL {LABEL}\nCOPY files /\nRUN echo before; exit 9\n"


def changed(service: Path, content: str) -> Path:
    """Give a plain service another content, so that its image becomes another one."""
    write(service / "files/version", content)
    return service


def test_build_and_nothing_else(engine: World) -> None:
    """Bare d-build makes `:latest`, says its id on stdout, and promotes nothing."""
    service = engine.plain(Test=FAILS)
    done = engine.d_build(service)
    tags = engine.tags(service.name)
    assert done.stdout == f"{REPO}/{service.name}:latest is {tags['latest'][:12]}\n"
    assert (tags["live"], tags["prev"]) == ("", "")


@pytest.mark.matrix
def test_what_is_made_is_in_the_history(engine: World) -> None:
    """Whoever builds, tests, promotes and rolls back, with d-build or with d: what failed is there, too."""
    service = engine.plain(Test=PASSES)
    engine.d_build(service, "-a")
    engine.d_build(changed(service, "2"), "-a")
    engine.d_build(service, "--rollback")
    write(service / "Test", FAILS, mode=0o755)
    engine.d_build(service, "-t", expect=1)
    events = json.loads(engine.d("history", service.name, "--json").stdout)
    made = ["build", "test", "promote"]
    assert [event["action"] for event in reversed(events)] == [*made, *made, "rollback", "upgrade", "build", "test"]
    assert [event["result"] for event in events[:2]] == ["failed", "ok"]
    assert "it leaks" in engine.d("why", service.name).stdout


def test_test_flag_tests_and_does_not_promote(engine: World) -> None:
    """-t builds and runs the Test, whose exit status is the verdict."""
    service = engine.plain(Test=PASSES)
    assert ", tested" in engine.d_build(service, "-t").stdout
    write(service / "Test", FAILS, mode=0o755)
    done = engine.d_build(service, "-t", expect=1)
    assert "it leaks" in done.stderr
    assert "Test ended with exit code 1" in done.stderr
    assert engine.tags(service.name)["live"] == ""


def test_setlive_promotes_untested_and_says_so(engine: World) -> None:
    """-s promotes without building, and says that nothing was tested."""
    service = engine.plain(Test=FAILS)
    engine.d_build(service, "-s", expect=1)
    engine.d_build(service)
    done = engine.d_build(service, "-s")
    assert "did not test" in done.stderr
    tags = engine.tags(service.name)
    assert tags["live"] == tags["latest"]


@pytest.mark.matrix
def test_auto_promotes_what_passed(engine: World) -> None:
    """-a builds, tests and promotes; what was live is `:prev`."""
    service = engine.plain(Test=PASSES)
    engine.d_build(service, "-a")
    first = engine.tags(service.name)
    engine.d_build(changed(service, "2"), "-a")
    second = engine.tags(service.name)
    assert second["live"] == second["latest"] != first["live"]
    assert (first["prev"], second["prev"]) == ("", first["live"])


@pytest.mark.matrix
def test_auto_stops_at_a_failing_test(engine: World) -> None:
    """-a with a failing Test leaves `:live` and `:prev` where they were."""
    service = engine.plain(Test=PASSES)
    engine.d_build(service, "-a")
    engine.d_build(changed(service, "2"), "-a")
    before = engine.tags(service.name)
    write(service / "Test", FAILS, mode=0o755)
    engine.d_build(changed(service, "3"), "-a", expect=1)
    after = engine.tags(service.name)
    assert (after["live"], after["prev"]) == (before["live"], before["prev"])
    assert after["latest"] != before["latest"]


def test_broken_dockerfile_leaves_everything(engine: World) -> None:
    """A build that fails is exit code 1; no tag has moved, and no container of the build is left."""
    service = engine.service("", dockerfile=FROM_BASE, files={"version": "1"})
    engine.d_build(service, "-a")
    before = engine.tags(service.name)
    containers = set(engine.call("ps", "-aq").split())
    write(service / "Dockerfile", BROKEN)
    done = engine.d_build(service, "-a", expect=1)
    assert "before" in done.stderr
    assert "the build failed" in done.stderr
    assert engine.tags(service.name) == before
    assert set(engine.call("ps", "-aq").split()) <= containers


@pytest.mark.matrix
def test_promoting_twice_keeps_the_way_back(engine: World) -> None:
    """`:prev` is the last image that was live and differs, however often one promotes; a rollback undoes a rollback."""
    service = engine.plain("1")
    ids = []
    for content in ("1", "2"):
        engine.d_build(changed(service, content))
        engine.d_build(service, "-s")
        ids.append(engine.tags(service.name)["live"])
    assert "already" in engine.d_build(service, "-s").stdout
    engine.d_build(service)
    engine.d_build(service, "-s")

    def live_and_previous() -> list[str]:
        tags = engine.tags(service.name)
        return [tags["live"], tags["prev"]]

    assert live_and_previous() == [ids[1], ids[0]]
    engine.d_build(service, "--rollback")
    assert live_and_previous() == [ids[0], ids[1]]
    engine.d_build(service, "--rollback")
    assert live_and_previous() == [ids[1], ids[0]]


def test_rollback_without_a_way_back(engine: World) -> None:
    """--rollback where nothing was live before is an error, and moves nothing."""
    service = engine.plain()
    engine.d_build(service, "-a")
    before = engine.tags(service.name)
    assert ":prev" in engine.d_build(service, "--rollback", expect=1).stderr
    assert engine.tags(service.name) == before


def test_only_what_was_tested_goes_live(engine: World) -> None:
    """If `:latest` has moved between test and promotion, nothing is promoted: here the Test itself moves it."""
    service = engine.plain(Test=PASSES)
    engine.d_build(service, "-a")
    before = engine.tags(service.name)
    moves = f"#!/bin/sh\n$DOCKER_EXEC tag {REPO}/dyt-base:latest {REPO}/{service.name}:latest\n"
    write(service / "Test", moves, mode=0o755)
    done = engine.d_build(changed(service, "2"), "-a", expect=1)
    assert "was tested: not promoted" in done.stderr
    after = engine.tags(service.name)
    assert (after["live"], after["prev"]) == (before["live"], before["prev"])
    assert after["latest"] == engine.image_id(f"{REPO}/dyt-base:latest")


def test_no_test_is_a_warning(engine: World) -> None:
    """Without a Test -a warns and goes on."""
    service = engine.plain()
    done = engine.d_build(service, "-a")
    assert "has no Test" in done.stderr
    assert engine.tags(service.name)["live"]


def test_test_that_cannot_run_is_an_error(engine: World) -> None:
    """A Test that is not executable, or whose interpreter is missing, is never passed over."""
    service = engine.plain(Test=PASSES)
    (service / "Test").chmod(0o644)
    assert "not executable" in engine.d_build(service, "-a", expect=2).stderr
    write(service / "Test", "#!/no/such/interpreter\n", mode=0o755)
    assert "first line" in engine.d_build(service, "-a", expect=1).stderr
    assert engine.tags(service.name)["live"] == ""


@pytest.mark.parametrize(
    ("script", "expect"),
    [("echo all tests passed; exit 1", 1), ("echo FAILED: 3 errors; exit 0", 0), ("kill -9 $$", 1)],
    ids=["says passed", "says failed", "killed"],
)
def test_the_verdict_is_the_exit_status(engine: World, script: str, expect: int) -> None:
    """Whatever a Test prints, only its exit status counts; one that is killed has failed."""
    service = engine.plain(Test=f"#!/bin/sh\n{script}\n")
    engine.d_build(service, "-a", expect=expect)
    tags = engine.tags(service.name)
    assert tags["live"] == ("" if expect else tags["latest"])


@pytest.mark.matrix
def test_build_script_then_standard_build(engine: World) -> None:
    """A ./Build that ends with CONTINUE=1 prepares; the standard build follows."""
    script = "#!/bin/sh\ndate >/dev/null; echo made by Build >files/made\necho CONTINUE=1\n"
    service = engine.service("", dockerfile=FROM_BASE, files={"version": "1"}, scripts={"Build": script})
    engine.d_build(service)
    assert engine.in_image(f"{REPO}/{service.name}:latest", "cat /made") == "made by Build\n"


def test_build_script_alone(engine: World) -> None:
    """A ./Build that says nothing of CONTINUE replaces the build: it tags $IMAGE itself."""
    script = "#!/bin/sh\nset -e\n$DOCKER_EXEC build -q -t $IMAGE other\n"
    service = engine.service("", scripts={"Build": script})
    write(service / "other/Dockerfile", f"FROM scratch\nLABEL {LABEL}\nCOPY x /\n")
    write(service / "other/x", "x")
    done = engine.d_build(service)
    assert done.stdout.startswith(f"{REPO}/{service.name}:latest is ")
    write(service / "Build", "#!/bin/sh\n$DOCKER_EXEC rmi $IMAGE\n", mode=0o755)
    assert "tag the image in ./Build" in engine.d_build(service, expect=1).stderr


def test_build_script_that_fails(engine: World) -> None:
    """A failing ./Build is a failed build, even if it said CONTINUE=1: no tag moves."""
    service = engine.plain()
    engine.d_build(service, "-a")
    before = engine.tags(service.name)
    write(service / "Build", "#!/bin/sh\necho CONTINUE=1\nexit 3\n", mode=0o755)
    assert "./Build ended with exit code 3" in engine.d_build(changed(service, "2"), "-a", expect=1).stderr
    assert engine.tags(service.name) == before


@pytest.mark.matrix
def test_symlinks_and_dockerignore(engine: World) -> None:
    """Links, also out of the context, are built in as what they point to; what is ignored is not."""
    service = engine.service("", dockerfile=FROM_BASE, files={"version": "1", "junk.tmp": "junk"})
    outside = engine.root / f"outside-{service.name}"
    write(outside / "one", "outside\n")
    write(outside / "tree/bin/two", "two\n", mode=0o755)
    (service / "files/linked").symlink_to(outside / "one")
    (service / "files/tree").symlink_to(outside / "tree")
    (service / "files/ignored").symlink_to("/proc")  # following it would never end
    write(service / ".dockerignore", "**/*.tmp\nfiles/ignored\n")
    engine.d_build(service)
    shown = engine.in_image(f"{REPO}/{service.name}:latest", "cat /linked /tree/bin/two; test -x /tree/bin/two; ls /")
    assert shown.startswith("outside\ntwo\n")
    assert not {"ignored", "junk.tmp"} & set(shown.split())


def test_build_parameters(engine: World) -> None:
    """-b and settings.yaml pass flags to the engine's build; $DBUILD_PARAMS too."""
    service = engine.service("", dockerfile=f"{FROM_BASE}ARG WORD\nLABEL word=$WORD\n", files={"version": "1"})
    engine.d_build(service, "-b", "--label colour=red --build-arg WORD='two words'")
    told = engine.call("image", "inspect", "--format", "{{json .Config.Labels}}", f"{REPO}/{service.name}:latest")
    labels = json.loads(told)
    assert (labels["colour"], labels["word"], labels["dytest"]) == ("red", "two words", "1")


def test_name_repository_and_tag(engine: World) -> None:
    """--name, --repo and --tag choose what the image is called; another tag than `latest` is not promoted."""
    service = engine.plain()
    chosen = ("--name", "dyt-other", "--repo", f"{REPO}/deep", "--tag", "trial")
    engine.d_build(service, *chosen)
    assert engine.image_id(f"{REPO}/deep/dyt-other:trial")
    assert engine.tags(service.name)["latest"] == ""
    engine.d_build(service, *chosen, "-a", expect=2)


def test_from_the_directory_itself(engine: World) -> None:
    """Without --cd it is the service that one is in, by the name of the link that leads there."""
    service = engine.plain()
    link = engine.source / f"{service.name}-link"
    link.symlink_to(service)
    engine.run("d-build", cwd=service)
    assert engine.tags(service.name)["latest"]
    engine.run("sh", "-c", f"cd {link} && d-build")
    link.unlink()
    assert engine.tags(link.name)["latest"]


def test_make(engine: World) -> None:
    """`make`, `make test`, `make install`, `make clean` in a service's directory do what d-build does."""
    makefile = "include $(shell d-build --makefile)\n"
    service = engine.plain(Test="#!/bin/sh\necho tested by $0 $*\n", Makefile=makefile)
    engine.run("make", cwd=service)
    tags = engine.tags(service.name)
    assert tags["latest"]
    assert not tags["live"]
    assert f"tested by {service}/Test -r" in engine.run("make", "test", cwd=service).text
    write(service / "Test-prod", "#!/bin/sh\necho in production\n", mode=0o755)
    assert "in production" in engine.run("make", "test", cwd=service, env={"KTOOLS_DRUN_TEST_PROD": "1"}).text
    engine.run("make", "install", cwd=service)
    engine.run("make", "promote", cwd=service)
    assert engine.tags(service.name)["live"] == tags["latest"]
    engine.run("make", "clean", cwd=service)
    assert engine.tags(service.name) == {"latest": "", "live": tags["latest"], "prev": ""}
    write(service / "Test", FAILS, mode=0o755)
    engine.run("make", cwd=service)
    engine.run("make", "test", cwd=service, expect=2)


@pytest.fixture
def registry(engine: World) -> Iterator[str]:
    """A registry on loopback, and its address."""
    program = shutil.which("docker-registry")
    if not program:
        pytest.skip("docker-registry is not installed (Debian's package of that name)")
    address = f"127.0.0.1:{free_port()}"
    storage = engine.root / "registry"
    configuration = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(storage)}},
        "http": {"addr": address},
    }
    file = write(engine.root / "registry.yml", json.dumps(configuration))
    with subprocess.Popen([program, "serve", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        try:
            wait_for(lambda: listed(address, "_catalog"), "the registry")
            yield address
        finally:
            child.terminate()


def listed(address: str, what: str) -> dict[str, list[str]]:
    """Return what a registry lists; nothing where it does not answer or know."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://{address}/v2/{what}", timeout=5) as response:
            found: dict[str, list[str]] = json.load(response)
            return found
    except OSError:
        return {}


@pytest.mark.matrix
def test_push_to_a_registry(engine: World, registry: str) -> None:
    """A repository with `:` in it is a registry: what is built and what is promoted is pushed."""
    insecure = write(engine.root / "registries.conf", f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n')
    how = {"CONTAINERS_REGISTRIES_CONF": str(insecure)}
    service = engine.plain()
    engine.d_build(service, "--repo", registry, env=how)
    assert listed(registry, f"{service.name}/tags/list")["tags"] == ["latest"]
    engine.d_build(service, "--repo", registry, "-s", env=how)
    engine.d_build(changed(service, "2"), "--repo", registry, "-a", env=how)
    assert sorted(listed(registry, f"{service.name}/tags/list")["tags"]) == ["latest", "live", "prev"]


def test_push_that_fails_is_an_error(engine: World) -> None:
    """A registry that does not answer: the image is built, and the exit code is 1."""
    service = engine.plain()
    done = engine.d_build(service, "--repo", f"127.0.0.1:{free_port()}", expect=1)
    assert "push failed" in done.stderr
