"""Test scripts: launched afresh, explained when they fail, and nothing left of them whatever happens."""

import os
import signal
import subprocess
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dockyard.directives import FIRST_LINE
from tests.engines.world import BASE, FROM_BASE, World, service_port, wait_for, write

SHELL = f"#!/bin/sh\n{FIRST_LINE}\n"
"""The beginning of a Test that is a shell script."""


def python_test(body: str) -> str:
    """Return a Test in Python with the library."""
    head = (
        "#!/usr/bin/env dockyard-python\nimport os, pathlib, signal, time\nfrom dockyard.testing import Container, main"
    )
    return f"{head}\n\n{textwrap.dedent(body)}\nmain()\n"


def no_instance(engine: World, service: Path) -> bool:
    """Return whether nothing is left of a test of a service."""
    return engine.containers(f"test-{service.name}") == []


@pytest.mark.matrix
def test_all_that_a_test_may_expect(engine: World) -> None:
    """Each part of the library, on an instance that is as expected."""
    service = engine.tested(
        python_test("""
            def test_http(container: Container) -> None:
                container.wait_ready()
                assert container.expect_http(8080, contains="It works") == "It works\\n"
                container.expect_http(8080, "/nowhere", status=404)

            def test_tcp(container: Container) -> None:
                container.expect_tcp(8080, send=b"GET / HTTP/1.0\\r\\n\\r\\n", expect=b"200 OK")

            def test_files(container: Container) -> None:
                container.exec("sh", "-c", "echo inside >/data/a; echo layer >/b; ln -s /data/a /link")
                container.expect_file("/data/a", contains="inside")
                container.expect_file("/link", contains="inside")
                container.expect_file("/etc/passwd", contains="root")
                container.expect_host_file(container.volume("/data") / "a", contains="inside")
                container.expect_host_file(container.layer / "b", contains="layer")

            def test_words(container: Container) -> None:
                container.expect_log("ready to serve")
                container.expect_output("sh", "-c", "echo $COLOUR", contains="blue")
                assert container.exec("id", "-u", user="65534") == "65534\\n"
                assert "ready" in container.logs()

            def test_facts(container: Container) -> None:
                assert container.name.startswith("test-dyt-")
                assert container.host_port(8080).startswith("127.0.0.1:")
                assert container.pid > 1
                assert container.ip
                assert container.testinfra.file("/etc/passwd").exists
                assert "TMP" in str(container.volume("/data"))
        """),
        mount_rw="data:/data",
        env="COLOUR=blue",
    )
    assert "5 passed" in engine.run("./Test", "-r", cwd=service).text
    assert no_instance(engine, service)


def test_ready_is_when_the_health_check_passes(engine: World) -> None:
    """wait_ready waits for the health check, also where no systemd runs the timers that podman leaves it to."""
    service = engine.tested(
        python_test("""
            import pytest
            from dockyard.testing import Unexpected

            def test_ready(container: Container) -> None:
                with pytest.raises(Unexpected, match="health check"):
                    container.wait_ready(0.1)
                container.exec("touch", "/healthy")
                container.wait_ready()
        """),
        healthcheck={"cmd": "test -e /healthy", "interval": "1s", "retries": 1000},
    )
    assert "1 passed" in engine.run("./Test", "-r", cwd=service).text


def test_ready_ends_when_the_verdict_is_known(engine: World) -> None:
    """wait_ready does not wait on once the health check has failed as often as it may, and says what that wrote."""
    service = engine.tested(
        python_test("""
            def test_ready(container: Container) -> None:
                container.wait_ready(600)
        """),
        healthcheck={"cmd": "echo no database; false", "interval": "1s", "retries": 2},
    )
    shown = engine.run("./Test", "-r", cwd=service, expect=1).text
    assert "it is unhealthy" in shown
    assert "no database" in shown
    assert "log: ready to serve" in shown


def test_failures_explain_themselves(engine: World) -> None:
    """Each failing expectation says what was expected, what was there, and what the log says last."""
    service = engine.tested(
        python_test("""
            def test_http(container: Container) -> None:
                container.expect_http(8080, contains="Other page", seconds=0.1)

            def test_status(container: Container) -> None:
                container.expect_http(8080, "/nowhere", seconds=0.1)

            def test_tcp(container: Container) -> None:
                container.expect_tcp(8080, send=b"GET / HTTP/1.0\\r\\n\\r\\n", expect=b"503", seconds=0.1)

            def test_log(container: Container) -> None:
                container.expect_log("never said", seconds=0.1)

            def test_file(container: Container) -> None:
                container.expect_file("/no/such/file", seconds=0.1)

            def test_host_file(container: Container) -> None:
                container.expect_host_file(pathlib.Path("/no/host/file"), seconds=0.1)

            def test_output(container: Container) -> None:
                container.expect_output("sh", "-c", "echo actual; exit 7", contains="x", seconds=0.1)

            def test_port(container: Container) -> None:
                container.host_port(9)

            def test_assert(container: Container) -> None:
                colour = "blue"
                assert colour == "red"
        """)
    )
    shown = engine.run("./Test", "-r", cwd=service, expect=1).text
    for words in (
        "no `Other page` in 'It works",
        "status 404, not 200",
        "no b'503' in",
        "waited 0.1 s for `never said` in its log",
        "/no/such/file",
        "/no/host/file",
        "echo actual; exit 7",
        "port 9/tcp is not published",
        "assert 'blue' == 'red'",
        "log: ready to serve",
        "9 failed",
    ):
        assert words in shown
    assert no_instance(engine, service)


def test_instance_that_dies_is_told(engine: World) -> None:
    """An instance that ends during a Test fails it at once, with its log."""
    service = engine.tested(
        python_test("""
            def test_page(container: Container) -> None:
                container.exec("sh", "-c", "echo last words >/proc/1/fd/1")
                os.kill(container.pid, signal.SIGTERM)
                container.expect_log("never said", seconds=300)
        """)
    )
    shown = engine.run("./Test", "-r", cwd=service, expect=1).text
    assert "has ended" in shown
    assert "last words" in shown
    assert no_instance(engine, service)


def test_no_test_in_it_is_an_error(engine: World) -> None:
    """A Test without a test has not passed."""
    service = engine.tested(python_test("def check_page(container):\n    pass"))
    assert "it has no tests" in engine.run("./Test", "-r", cwd=service, expect=2).text
    assert no_instance(engine, service)


def test_error_in_the_script_is_an_error(engine: World) -> None:
    """A Test that cannot be read fails, and leaves nothing."""
    service = engine.tested(python_test("import no_such_module\ndef test_page(container):\n    pass"))
    done = engine.run("./Test", "-r", cwd=service, expect=1)
    assert "no_such_module" in done.text
    assert no_instance(engine, service)


def test_flags_of_pytest_pass_through(engine: World) -> None:
    """-k and its like reach pytest: only what was asked for runs."""
    service = engine.tested(
        python_test("""
            def test_good(container: Container) -> None: pass
            def test_bad(container: Container) -> None: assert False
        """)
    )
    assert "1 passed, 1 deselected" in engine.run("./Test", "-r", "-k", "good", cwd=service).text


@pytest.mark.matrix
def test_shell_script_gets_the_facts(engine: World) -> None:
    """A Test in shell gets its instance through its environment; its exit status is the verdict."""
    script = (
        SHELL
        + """
set -e
test "$CONTAINER_MODE" = test
test "$CONTAINER_PORT_8080" = "127.0.0.1:$PORT"
test -d "$CONTAINER_VOLUME_DATA"
test -n "$CONTAINER_IP"
$CONTAINER_ENGINE exec "$CONTAINER_ID" true
echo "name $CONTAINER_NAME image $CONTAINER_IMAGE words $*"
exit ${VERDICT:-0}
"""
    )
    service = engine.tested(script, mount_rw="data:/data")
    environment = {"PORT": str(service_port(service) + 10000)}
    done = engine.run("./Test", "-r", "--own-flag", cwd=service, env=environment)
    assert done.stdout == f"name test-{service.name} image {engine.image_id(BASE)} words --own-flag\n"
    engine.run("./Test", "-r", cwd=service, env={**environment, "VERDICT": "7"}, expect=7)
    assert no_instance(engine, service)


def test_without_launching(engine: World) -> None:
    """./Test tests the test instance that is up, ./Test -p and ./Test-prod production; none of them ends it."""
    service = engine.tested(SHELL + 'echo "$CONTAINER_ID"\n')
    write(service / "Test-prod", SHELL + 'echo "$CONTAINER_ID"\n', mode=0o755)
    done = engine.run("./Test", cwd=service, expect=1)
    assert "is not up" in done.stderr
    engine.d_run(service)
    engine.d_run(service, "-DT", "--no-fg")
    production, test = engine.container_id(service.name), engine.container_id(f"test-{service.name}")
    assert engine.run("./Test", cwd=service).stdout.strip() == test
    assert engine.run("./Test", "-p", cwd=service).stdout.strip() == production
    assert engine.run("./Test-prod", cwd=service).stdout.strip() == production
    assert engine.container_id(service.name) == production
    assert engine.container_id(f"test-{service.name}") == test


def test_name_tag_and_out(engine: World) -> None:
    """-n names the instance, -t chooses the image, -o keeps its log in a file."""
    service = engine.service(
        {"cmd": "sh -c 'cat /version; sleep 600'"},
        dockerfile=FROM_BASE,
        files={"version": "old\n"},
        scripts={"Test": SHELL + "echo $CONTAINER_NAME\n"},
    )
    engine.d_build(service, "--tag", "trial")
    write(service / "files/version", "new\n")
    engine.d_build(service)
    log = engine.root / "log"
    name = f"{service.name}-x"
    done = engine.run("./Test", "-r", "-n", name, "-t", "trial", "-o", str(log), cwd=service)
    assert done.stdout == f"test-{name}\n"
    assert log.read_text() == "old\n"
    assert no_instance(engine, service)


def test_test_prod_with_run(engine: World) -> None:
    """./Test-prod -r launches a test instance, with production up beside it."""
    service = engine.tested(SHELL)
    write(service / "Test-prod", SHELL + 'echo "$CONTAINER_MODE"\n', mode=0o755)
    engine.d_run(service)
    assert engine.run("./Test-prod", "-r", cwd=service).stdout == "test\n"
    assert engine.is_up(service.name)
    assert no_instance(engine, service)


def test_leftover_is_never_reused(engine: World) -> None:
    """An instance that an earlier test left, of an old image, is removed: the test gets a fresh one."""
    service = engine.tested(SHELL + 'echo "$CONTAINER_ID $CONTAINER_IMAGE"\n')
    old = engine.plain()
    engine.d_build(old)
    engine.call("create", "--name", f"test-{service.name}", "--label", f"dockyard.service={service.name}",
                "--label", "dockyard.mode=test", f"dytest/{old.name}:latest", "x")  # fmt: skip
    left = engine.container_id(f"test-{service.name}")
    done = engine.run("./Test", "-r", cwd=service)
    assert "left over" in done.stderr
    identifier, image = done.stdout.split()
    assert identifier != left
    assert image == engine.image_id(BASE)
    assert no_instance(engine, service)


def test_running_leftover_is_replaced(engine: World) -> None:
    """A leftover that still runs, and holds the port, is replaced as well."""
    service = engine.tested(SHELL + 'echo "$CONTAINER_ID"\n')
    engine.d_run(service, "-DT", "--no-fg")
    left = engine.container_id(f"test-{service.name}")
    assert engine.run("./Test", "-r", cwd=service).stdout.strip() not in {"", left}
    assert no_instance(engine, service)


def test_somebody_elses_container_is_not_removed(engine: World) -> None:
    """A container of the name that no test launched is refused, and stays."""
    service = engine.tested(SHELL)
    engine.call("create", "--name", f"test-{service.name}", BASE, "true")
    before = engine.container_id(f"test-{service.name}")
    engine.run("./Test", "-r", cwd=service, expect=1)
    assert engine.container_id(f"test-{service.name}") == before


@contextmanager
def waiting_test(engine: World, test: str) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """Start a Test that waits until it is ended; yield when it does."""
    service = engine.tested(test.replace("MARK", f"{engine.root}/mark"))
    mark = engine.root / "mark"
    mark.unlink(missing_ok=True)
    with engine.start("./Test", "-r", cwd=service) as process:
        try:
            wait_for(lambda: mark.exists() or process.poll() is not None, "the Test's mark")
            assert mark.exists(), process.stdout and process.stdout.read()
            yield service, process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


PYTHON_WAITS = python_test("""
    def test_page(container: Container) -> None:
        pathlib.Path("MARK").touch()
        time.sleep(600)
""")
SHELL_WAITS = SHELL + "touch MARK\nsleep 600\n"


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("name", "script"),
    [("SIGINT", PYTHON_WAITS), ("SIGTERM", PYTHON_WAITS), ("SIGKILL", PYTHON_WAITS), ("SIGTERM", SHELL_WAITS)],
    ids=["SIGINT", "SIGTERM", "SIGKILL", "shell SIGTERM"],
)
def test_ended_by_a_signal(engine: World, script: str, name: str) -> None:
    """Ctrl-C, SIGTERM, even SIGKILL of a Test: its instance is gone."""
    with waiting_test(engine, script) as (service, process):
        number = signal.Signals[name]
        if number is signal.SIGINT:  # a terminal sends it to all of the group
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        assert process.wait(20)
        if number is signal.SIGINT:
            assert process.returncode == 130
        wait_for(lambda: no_instance(engine, service), "the end of the instance")


def test_launch_that_fails_leaves_nothing(engine: World) -> None:
    """An instance that ends at once, or cannot start: an error with its log, and nothing left."""
    service = engine.tested(SHELL, cmd=["sh", "-c", "echo cannot work like this; exit 3"])
    done = engine.run("./Test", "-r", cwd=service, expect=1)
    assert "cannot work like this" in done.text
    assert no_instance(engine, service)
    service = engine.tested(SHELL, cmd="/no/such/program")
    engine.run("./Test", "-r", cwd=service, expect=1)
    assert no_instance(engine, service)


# ---------------------------------------------------------------------------------------------- the environment's lies
@pytest.mark.matrix
def test_foreign_variables_do_not_choose_what_is_tested(engine: World) -> None:
    """CONTAINER_NAME and its like in the environment: the Test still launches its instance, and tests that."""
    service = engine.tested(SHELL + 'echo "$CONTAINER_NAME $CONTAINER_ENGINE ${CONTAINER_PORT_99-none}"\n')
    engine.d_run(service)
    foreign = {
        "CONTAINER_NAME": service.name,
        "CONTAINER_ENGINE": "/no/such/engine",
        "CONTAINER_PORT_99": "127.0.0.1:99",
        "DOCKYARD_TESTER": "process 1",
    }
    shown = engine.run("./Test", "-r", cwd=service, env=foreign).stdout
    assert shown == f"test-{service.name} {engine.engine} none\n"
    done = engine.run("./Test", "-r", cwd=service, env={"DOCKYARD_UNDER_TEST": f"{service.name}=sha256:1"}, expect=2)
    assert "DOCKYARD_UNDER_TEST is set in the environment" in done.stderr


def test_old_shell_test_is_refused(engine: World) -> None:
    """By itself and by `d test`, with the line to write; production is not touched by it."""
    old = '[ "${CONTAINER_NAME-}" ] || exec dockyard-python -m dockyard.testing "$0" "$@"'
    service = engine.plain(Test=f"#!/bin/sh\n{old}\necho tested\n")
    engine.d_build(service)
    for done in (
        engine.run("./Test", "-r", cwd=service, expect=2),
        engine.d("test", service.name, expect=2, env={"CONTAINER_NAME": "production"}),
    ):
        assert "Test:2: this line tests a variable that other programs also set" in done.stderr
        assert FIRST_LINE in done.stderr
        assert "tested" not in done.stdout
