"""A compose project, moved in with its data and run; and moved out again."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import trixie

from tests.engines.test_documentation import code_blocks, section
from tests.engines.world import BASE, LABEL, OURS, World, await_page, free_port, write

COMPOSE = """\
services:
  db:
    image: {base}
    command: ["sh", "-c", "trap 'exit 0' TERM; touch /tmp/ready; nc -ll -p 5000 -e cat /data/page & wait"]
    restart: unless-stopped
    environment:
      DB_PASSWORD: ${{DB_PASSWORD}}
    volumes:
      - data:/data
    healthcheck:
      test: ["CMD", "test", "-e", "/tmp/ready"]
      interval: 1s
      retries: 20

  web:
    image: {base}
    entrypoint: ["sh", "-c"]
    command: ["trap 'exit 0' TERM; nc -w 2 db 5000 >/tmp/index.html; httpd -f -p 8080 -h /tmp -c $$CONF & wait"]
    env_file: web.env
    ports:
      - "{port}:8080"
    volumes:
      - ./httpd.conf:/etc/httpd.conf:ro
    cap_drop: [NET_RAW]
    depends_on:
      db:
        condition: service_healthy

  tool:
    image: {base}
    profiles: [tools]
    command: sleep 600

volumes:
  data:
"""


@pytest.fixture
def project(engine: World) -> Iterator[tuple[World, Path, int]]:
    """A project of two services and a tool, made from the base image, and the engine; its network and volume go."""
    place, port = engine.root / f"{OURS}project", free_port()
    write(place / "compose.yaml", COMPOSE.format(base=BASE, port=port))
    write(place / ".env", "DB_PASSWORD=nobody-may-read-this\n")
    write(place / "web.env", "CONF=/etc/httpd.conf\n")
    write(place / "httpd.conf", ".txt:text/plain\n")
    try:
        yield engine, place, port
    finally:
        for name in ("web", "db", "tool"):
            engine.run(engine.engine, "rm", "-f", f"{OURS}{name}", expect=None)
        engine.run(engine.engine, "network", "rm", f"{OURS}project_default", expect=None)
        engine.run(engine.engine, "volume", "rm", "-f", f"{OURS}project_data", expect=None)


def _import(engine: World, place: Path, *more: str) -> str:
    return engine.d("import", "compose.yaml", "--prefix", OURS, *more, cwd=place).stdout


def _steps(engine: World, secrets: Path) -> str:
    """Return the guide's commands for moving, with the tests' names and places; compose's own have nothing to stop."""
    ours = {
        "/etc/dockyard/secrets": str(secrets),
        "import compose.yaml": f"import compose.yaml --prefix {OURS}",
        "/rw/dv/db/db": f"{engine.volumes}/{OURS}db/data",
        "nextcloud_db": f"{OURS}project_data",
        "network create nextcloud_default": f"network create --label {LABEL} {OURS}project_default",
        "docker ": f"{engine.engine} ",
    }
    text = code_blocks(section("docs/how-to/move-from-compose.md", "Move\n"))
    for theirs, replacement in ours.items():
        assert theirs in text, f"the guide has no `{theirs}`"
        text = text.replace(theirs, replacement)
    left_out = (f"{engine.engine} compose", "secret_command:")
    return "\n".join(line for line in text.splitlines() if not line.startswith(left_out))


@pytest.mark.matrix
def test_a_project_moves_in_as_the_guide_says(project: tuple[World, Path, int]):
    """The guide's commands, in order: imported, tested, its data copied, started by waves; it serves its old data."""
    engine, place, port = project
    volume, secrets = f"{OURS}project_data", engine.root / "secrets"
    engine.call("volume", "create", "--label", LABEL, volume)
    write_page = "echo from compose >/data/page"
    engine.call("run", "--rm", "--name", f"{OURS}look", "-v", f"{volume}:/data", BASE, "sh", "-c", write_page)
    engine.host_file.write_text(f"secret_command: cat {secrets}/{{name}}\n")
    told = json.loads(_import(engine, place, "--dry-run", "--json"))
    assert told["left"] == []
    steps = _steps(engine, secrets)
    assert all(command["command"].replace("docker ", f"{engine.engine} ") in steps for command in told["commands"][:1])
    engine.run("sh", "-euxc", steps, cwd=place, timeout=300)
    await_page(port, "from compose")
    assert not engine.is_up(f"{OURS}tool")
    assert engine.inside(f"{OURS}db", "echo $DB_PASSWORD").strip() == "nobody-may-read-this"
    assert engine.inside(f"{OURS}web", "cat /etc/httpd.conf").strip() == ".txt:text/plain"
    written = [path.read_bytes() for path in engine.source.rglob("*") if path.is_file()]
    assert not any(b"nobody-may-read-this" in data for data in written)
    for target in ("compose", "quadlet"):
        exported = engine.d("export", f"{OURS}db", f"{OURS}web", "--to", target).stdout
        assert "nobody-may-read-this" not in exported
        assert "test -e" in exported


def test_an_import_writes_all_or_nothing(project: tuple[World, Path, int]):
    """A dry run writes nothing; where one service is there already, none is written, and it stays as it is."""
    engine, place, _ = project
    before = sorted(engine.source.iterdir())
    shown = _import(engine, place, "--dry-run")
    assert f"FROM {BASE}" in shown
    assert "nobody-may-read-this" not in shown
    assert sorted(engine.source.iterdir()) == before
    write(engine.source / f"{OURS}db" / "Dockerfile", "FROM scratch\n")
    done = engine.d("import", "compose.yaml", "--prefix", OURS, cwd=place, expect=2)
    assert f"{OURS}db already exists" in done.stderr
    assert not (engine.source / f"{OURS}web").exists()
    assert (engine.source / f"{OURS}db" / "Dockerfile").read_text() == "FROM scratch\n"


def test_an_export_is_started_by_compose(project: tuple[World, Path, int]):
    """`d export` of a service, given to compose itself, runs the same launch."""
    engine, _, port = project
    if engine.engine != "docker":
        pytest.skip("compose is a plugin of docker's client")
    try:
        compose = trixie.compose()
    except trixie.MissingError as error:
        pytest.skip(f"compose cannot be had here: {error}")
    web = engine.web("It works", ports=[f"{port}:8080"], env={"PRICE": "5$ or $$6"})
    engine.d_build(web, "-a")
    file = engine.root / "exported" / "compose.yaml"
    engine.d("export", web.name, "--to", "compose", "--output", str(file))
    environ = {**os.environ, f"{web.name}_PUID".replace("-", "_").upper(): "secret"}
    up = [*compose, "-p", f"{OURS}exported", "up", "-d"]
    done = subprocess.run(up, cwd=file.parent, env=environ, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    await_page(port, "It works")
    theirs = engine.inspect(web.name)
    engine.call("rm", "-f", web.name)
    engine.run(engine.engine, "network", "rm", f"{OURS}exported_default", expect=None)
    engine.d_run(web)
    ours = engine.inspect(web.name)
    for key in ("CapDrop", "ReadonlyRootfs", "Memory", "PortBindings", "Privileged"):
        assert theirs["HostConfig"][key] == ours["HostConfig"][key], key
    assert "PRICE=5$ or $$6" in theirs["Config"]["Env"]
    assert sorted(entry for entry in theirs["Config"]["Env"] if "PUID" not in entry) == sorted(
        entry for entry in ours["Config"]["Env"] if "PUID" not in entry
    )
    again = engine.d("export", web.name, "--output", str(file), expect=2)
    assert "exists already" in again.stderr
