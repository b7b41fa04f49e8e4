"""`d init` and `d new` without an engine: what they make, what they leave alone, what they refuse."""

import compileall
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dockyard import template
from dockyard.errors import DockyardError, SettingsError
from dockyard.host_file import HEADER, edited
from dockyard.settings.key import Scope
from dockyard.settings.load import read_file
from dockyard.share import SCHEMA

PROGRAMS = Path(sys.executable).parent
D = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def d(tmp_path: Path) -> D:
    """Run d as a user with nothing but a home and an engine that answers nobody."""
    engine = tmp_path / "bin/docker"
    engine.parent.mkdir()
    engine.write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n")
    engine.chmod(0o755)
    environment = {"PATH": f"{engine.parent}:/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    host_file = tmp_path / "etc/host.yaml"

    def run(*words: str, expect: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        argv = (str(PROGRAMS / "d"), *words)
        named = {"DOCKYARD_HOST": str(host_file)} if words[0] == "init" or host_file.exists() else {}
        env = {**environment, **named, **more}
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == expect, done.stderr
        return done

    return run


def test_a_host_is_set_up_once(d: D, tmp_path: Path):
    """The file and the directories are made, each is told, and a second time there is nothing to do."""
    source, data = tmp_path / "srv/services", tmp_path / "srv/data"
    words = ("init", "--engine", "docker", "--src-dir", str(source), "--vol-base", str(data))
    shown = d(*words, "--dry-run").stdout.splitlines()
    assert not (tmp_path / "etc").exists()
    assert not source.exists()
    host_file = tmp_path / "etc/host.yaml"
    assert shown[0] == f"{host_file}: would be created: engine, d_src_dir, vol_base"
    assert [line.replace("would be ", "") for line in shown] == d(*words).stdout.splitlines()
    assert host_file.read_text() == f"{HEADER}engine: docker\nd_src_dir: {source}\nvol_base: {data}\n"
    assert source.is_dir()
    assert data.is_dir()
    again = json.loads(d(*words, "--json").stdout)
    assert {step["state"] for step in again["steps"]} == {"unchanged", "exists already"}
    assert again["values"]["d_src_dir"] == str(source)
    assert json.loads(d("init", "--json").stdout)["steps"] == again["steps"]


def test_what_is_written_stays_unless_forced(d: D, tmp_path: Path):
    """A value that is there is kept and told; forced, it is replaced in its line, and comments and order stay."""
    host_file = tmp_path / "etc/host.yaml"
    host_file.parent.mkdir()
    host_file.write_text(f"# mine\nd_src_dir: {tmp_path} # here\nnotify: ['json://secret']\n")
    host_file.chmod(0o600)
    text = host_file.read_text()
    done = d("init", "--src-dir", str(tmp_path / "other"), "--vol-base", str(tmp_path / "data"))
    assert "`d_src_dir` already has another value" in done.stderr
    assert host_file.read_text() == f"{text}vol_base: {tmp_path}/data\n"
    assert not (tmp_path / "other").exists()
    d("init", "--src-dir", str(tmp_path / "other"), "--force")
    assert host_file.read_text().splitlines()[:2] == ["# mine", f"d_src_dir: {tmp_path}/other # here"]
    assert (tmp_path / "other").is_dir()
    assert host_file.stat().st_mode & 0o777 == 0o600


def test_what_the_environment_says_is_told(d: D, tmp_path: Path):
    """A variable that is stronger than the file is named, as the file alone would not help."""
    done = d("init", "--src-dir", str(tmp_path / "a"), D_SRC_DIR=str(tmp_path / "b"))
    assert "env D_SRC_DIR sets" in done.stderr


def _at_terminal(tmp_path: Path, typed: bytes) -> tuple[int, str, str]:
    """Run `d init` and type; return its exit code, what is on the terminal, and what it prints."""
    ours, theirs = os.openpty()
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "DOCKYARD_HOST": str(tmp_path / "host.yaml")}
    environment["DOCKER_VOL_BASE"] = str(tmp_path / "data")
    argv = (str(PROGRAMS / "d"), "init")
    with subprocess.Popen(argv, env=environment, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs) as child:
        os.write(ours, typed)
        assert child.stdout
        printed = child.stdout.read().decode()
        os.close(theirs)
        asked = os.read(ours, 65536).decode()
        os.close(ours)
    return child.returncode, asked, printed


def test_a_terminal_is_asked(tmp_path: Path):
    """An empty answer takes the default; what was answered is in the file, what the environment says is not."""
    typed = b"/bin/true\n%s\n\n\n" % os.fsencode(tmp_path / "services")
    exit_code, asked, printed = _at_terminal(tmp_path, typed)
    assert exit_code == 0, asked
    assert "Which directory has the services, each in its own directory? [/srv/services]" in asked
    assert f"{tmp_path}/host.yaml: created: engine, d_src_dir, network" in printed
    text = f"{HEADER}engine: /bin/true\nd_src_dir: {tmp_path}/services\nnetwork: bridge\n"
    assert (tmp_path / "host.yaml").read_text() == text
    assert (tmp_path / "data").is_dir()


def test_an_answer_that_cannot_be_is_asked_for_again(tmp_path: Path):
    """What is wrong is told at once, before the next question, and the same question comes again."""
    typed = b"/srv/services\n/bin/true\nrelative\n/dev/null\n%s\n\nmy net!\n\n" % os.fsencode(tmp_path / "services")
    exit_code, asked, _ = _at_terminal(tmp_path, typed)
    assert exit_code == 0, asked
    for complaint in (
        "/srv/services: no such program",
        "`d_src_dir` must be an absolute path, not `relative`",
        "/dev/null: not a directory",
        "`network` must be a network name",
    ):
        assert complaint in asked
    assert [
        asked.count(question) for question in ("Which engine", "services, each", "data, each", "which network")
    ] == [
        2,
        3,
        1,
        2,
    ]
    assert f"d_src_dir: {tmp_path}/services\nnetwork: bridge\n" in (tmp_path / "host.yaml").read_text()


def test_a_default_that_cannot_be_ends_the_questions(tmp_path: Path):
    """Where what Enter would give is impossible, asking again would be no help."""
    (tmp_path / "host.yaml").write_text("engine: /no/such/engine\n")
    exit_code, asked, _ = _at_terminal(tmp_path, b"\n")
    assert exit_code == 2
    assert "d: /no/such/engine: no such program" in asked
    assert "services, each" not in asked


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "the services directory is not set"),
        (("--src-dir", "relative"), "must be an absolute path"),
        (("--src-dir", "/dev/null"), "/dev/null: not a directory"),
        (("--src-dir", "/", "--engine", "/no/such/engine"), "no such program"),
        (("--src-dir", "/", "--network", "a b"), "must be a network"),
        (("--src-dir", "/", "--network", "a=10.0.0.1/8"), "is not a subnet"),
        (("--src-dir", "/", "--network", "a", "--test-network", "a"), "the network of both production and tests"),
        (("--src-dir", "/", "--network", "a=10.0.0.0/8", "--test-network", "b=10.1.0.0/16"), "overlap"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(d: D, tmp_path: Path, words: tuple[str, ...], reason: str):
    """A wrong value is an error with exit code 2 and a hint, and nothing is made."""
    done = d("init", *words, expect=2)
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "etc").exists()


@pytest.mark.parametrize("value", ["/srv/my services", "/srv/it's", "/srv/#1", "/srv/a: b"])
def test_any_path_is_written_so_that_it_is_read(value: str):
    """What is written is what is read, whatever is in it."""
    text = edited("", {"vol_base": value}, force=False).text
    assert read_file(text, "host.yaml", Scope.HOST)["vol_base"].value == value
    again = edited(text, {"vol_base": "/b"}, force=True)
    assert again.text == f"{HEADER}vol_base: /b\n"


def test_a_file_that_no_line_can_change_is_left_alone():
    """A map in braces, or a value over several lines, is for the user to change."""
    for text in ("{vol_base: /a, engine: docker}\n", "vol_base:\n  /a\n", "vol_base: /a\n..."):
        with pytest.raises((DockyardError, SettingsError)):
            edited(text, {"vol_base": "/b", "d_src_dir": "/c"}, force=True)


# -------------------------------------------------------------------------------------------------------------- d new
@pytest.mark.parametrize("name", template.names())
def test_every_template_is_whole(name: str):
    """Each has what a service needs, its scripts can be run, and no word is left to be filled in."""
    words = {"NAME": "hello", "BASE": "base:live", "PORT": "8081", "SCHEMA": str(SCHEMA)}
    files = {file.path: file for file in template.files(name, words)}
    assert {"Dockerfile", "Makefile", "Test", "settings.yaml"} <= files.keys()
    assert files["Test"].mode == 0o755
    assert not [file for file in files.values() if "@" in file.text]
    read_file(files["settings.yaml"].text, "settings.yaml", Scope.SERVICE)


def test_new_services_come_with_ports_of_their_own(d: D, tmp_path: Path):
    """Two services in a row publish different ports; the lists show what was written."""
    environment = {"D_SRC_DIR": str(tmp_path)}
    shown = json.loads(d("new", "one", "--dry-run", "--json", **environment).stdout)
    assert not (tmp_path / "one").exists()
    done = json.loads(d("new", "one", "--json", **environment).stdout)
    assert {**shown, "done": True} == done
    assert done["base"] == "debian:stable-slim"
    assert sorted(done["files"]) == sorted(
        str(p.relative_to(tmp_path / "one")) for p in (tmp_path / "one").rglob("*") if p.is_file()
    )
    d("new", "two", "--from", "python", "--base", "mine:1", **environment)
    assert "FROM mine:1\n" in (tmp_path / "two/Dockerfile").read_text()
    ports = [(tmp_path / name / "settings.yaml").read_text().count(":8080 ") for name in ("one", "two")]
    assert ports == [1, 1]
    assert "- 127.0.0.1:8080:8080" in (tmp_path / "one/settings.yaml").read_text()
    assert "- 127.0.0.1:8081:8080" in (tmp_path / "two/settings.yaml").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"bin", "one", "two"}


def test_the_host_file_names_the_base(d: D, tmp_path: Path):
    """`base_image` of the host file is what new services build on."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/host.yaml").write_text(f"d_src_dir: {tmp_path}\nbase_image: fleet/slim:3\n")
    d("new", "one")
    assert "FROM fleet/slim:3\n" in (tmp_path / "one/Dockerfile").read_text()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("taken",), "exists already"),
        (("link",), "exists already"),
        (("Upper",), "cannot be the name"),
        (("../out",), "cannot be the name"),
        (("TMP",), "cannot be the name"),
        (("a", "--from", "pyton"), "did you mean `python`?"),
    ],
)
def test_nothing_is_written_over(d: D, tmp_path: Path, words: tuple[str, ...], reason: str):
    """A name that is taken, even by an empty directory or a dangling link, or that cannot be one, is refused."""
    source = tmp_path / "services"
    (source / "taken").mkdir(parents=True)
    (source / "link").symlink_to("nowhere")
    done = d("new", *words, expect=2, D_SRC_DIR=str(source))
    assert reason in done.stderr
    assert {path.name for path in source.iterdir()} == {"link", "taken"}
    assert not list((source / "taken").iterdir())


def test_without_a_directory_of_services_the_way_is_told(d: D):
    """Before `d init` there is nowhere to make a service, and the hint says so."""
    assert "`d init`" in d("new", "one", expect=2).stderr


def test_what_an_installation_has_compiled_is_no_part_of_a_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Installers compile the templates' programs as they do all others."""
    shutil.copytree(template.TEMPLATES, tmp_path / "templates")
    compileall.compile_dir(tmp_path / "templates", quiet=2)
    before = template.files("python", {})
    monkeypatch.setattr(template, "TEMPLATES", tmp_path / "templates")
    assert list(tmp_path.rglob("*.pyc"))
    assert template.files("python", {}) == before
