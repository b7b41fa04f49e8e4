"""Quadlet units, as podman's own generator reads them: it is Debian trixie's, which has one."""

import re
import shlex
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from bench import trixie

from dockyard.moving.launched import Launched, launched
from dockyard.moving.to_quadlet import quadlets
from dockyard.plan.flags import Word, mount_fields, words_of
from tests.unit.making import plan_of, settings_of
from tests.unit.moving.cases import CASES, Everything, imported, launches

OF_QUADLET = {"name", "cidfile", "replace", "rm", "cgroups", "sdnotify", "d", "detach"}


def generated(units: Sequence[tuple[str, str]], place: Path) -> dict[str, str]:
    """Return the services that the generator makes of units, by name; it must not complain of anything."""
    try:
        generator = trixie.quadlet()
    except trixie.MissingError as error:
        pytest.skip(f"podman's generator cannot be had here: {error}")
    for name, text in units:
        (place / name).write_text(text)
    environ = {"QUADLET_UNIT_DIRS": str(place)}
    done = subprocess.run([generator, "-dryrun"], env=environ, capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "Loading source unit" not in line]
    assert (done.returncode, complaints) == (0, [])
    found = re.findall(r"(?ms)^---(.*?)\.service---\n(.*?)(?=^---|\Z)", done.stdout)
    return dict(found)


def _argv(service: str) -> list[str]:
    """Return what systemd would run: its quotes, escapes, specifiers and variables worked out."""
    (line,) = re.findall(r"(?m)^ExecStart=(.*)$", service)
    special = {"\\n": "\0", "\\t": "\1"}
    escaped = re.sub(r"\\.", lambda found: special.get(found[0], found[0]), line)
    words = shlex.split(escaped)
    assert not any(re.search(r"(?<!\$)(\$\$)*\$(?!\$)", word) for word in words), "systemd would replace a variable"
    return [word.replace("\0", "\n").replace("\1", "\t").replace("$$", "$").replace("%%", "%") for word in words]


def _run_of(service: str, image: str) -> tuple[Counter[tuple[str, str]], list[str]]:
    argv = _argv(service)[2:]
    at = argv.index(image)
    words = [*words_of(_with_values(argv[:at]))]
    return Counter((word.flag, word.value) for word in words if word.flag not in OF_QUADLET), argv[at + 1 :]


def _with_values(argv: list[str]) -> list[str]:
    """Return the words without those switches of podman's that docker does not have."""
    return [word for word in argv if word not in {"--replace", "-d"}]


def _expected(one: Launched) -> Counter[tuple[str, str]]:
    """Return the flags of a launch in the words that the generator has for them."""
    secrets = {secret.variable for secret in one.secrets}
    found: Counter[tuple[str, str]] = Counter()
    for word in one.words:
        if word.flag == "env" and word.value in secrets:
            found["secret", f"{one.name}-{word.value},type=env,target={word.value}"] += 1
        elif word.flag not in {"restart", "runtime", "domainname"} and word != Word("network", "bridge"):
            found[_in_podmans_words(word)] += 1
    return found


def _in_podmans_words(word: Word) -> tuple[str, str]:
    if word.flag == "mount":
        fields = mount_fields(word.value)
        return "volume", ":".join([fields["source"], fields["target"], *(["ro"] if "readonly" in fields else [])])
    if word.flag in {"cap-add", "cap-drop"}:
        return word.flag, word.value.lower()
    if word.flag == "no-healthcheck":
        return "health-cmd", "none"
    return word.flag, word.value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_generator_runs_what_d_run_would(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Every flag of the launch, and the command, is what podman would be run with; nothing else is."""
    monkeypatch.chdir(case)
    every = launches(imported(case))
    units, _ = quadlets(every)
    services = generated(units, tmp_path)
    for one in every:
        flags, command = _run_of(services[one.service], f"localhost/{one.image}")
        assert (flags, command) == (_expected(one), list(one.command))


AWKWARD = r"""
env:
  QUOTED: 'a "b" c'
  DOLLAR: "$HOME ${X} 100%"
  LINES: "one\ntwo\n"
  BACKSLASH: 'C:\n'
  EMPTY: ""
  SPACES: "  x  "
labels:
  rule: "Host(`a.example.org`) && 'b'"
cmd: [sh, -c, 'echo "$1" | grep ''%s'' # no remark', 'a b']
healthcheck:
  cmd: test "$(cat /x)" = "a"
  interval: 10s
user: "33:34"
read_only: true
no_new_privileges: true
restart: on-failure:3
stop_timeout: 5
extra_docker: [-p, "9000", --init, "-eX=y z", --memory-swap=1g, --security-opt, "label=disable"]
mount_ro:
  - "/etc/with space": /x
"""


def test_awkward_texts_come_through(tmp_path: Path):
    """Quotes, dollars, percent signs, blanks and lines reach podman as they are in settings.yaml."""
    settings = settings_of(AWKWARD, host='puid: ""\ntz: ""\n')
    one = launched(plan_of(settings, existing=Everything()))
    units, left = quadlets([one])
    service = generated(units, tmp_path)["web"]
    flags, command = _run_of(service, "localhost/ktools/web:live")
    expected = _expected(one)
    assert flags == expected
    assert command == ["sh", "-c", "echo \"$1\" | grep '%s' # no remark", "a b"]
    assert "Restart=on-failure" in service
    assert left == []


def test_what_has_no_key_is_told():
    """What quadlet or podman cannot do is said, with the flag; a command with an empty word would be cut short."""
    settings = settings_of('cmd: [echo, ""]\nrm: true\nextra_docker: --runtime=runsc\nvols: data')
    units, left = quadlets([launched(plan_of(settings))])
    assert [line.partition(": left behind: ")[2].partition(":")[0] for line in left[:3]] == [
        "--rm",
        "--runtime=runsc",
        "echo ''",
    ]
    assert "run before the launch: [ -d /rw/dv/web/data ]" in left[3]
    assert all(f"# {line.removeprefix('web: ')}" in units[0].text for line in left)


def test_waves_are_said(tmp_path: Path):
    """A service comes after those of the wave before, and these are up when they are healthy."""
    first = launched(plan_of(settings_of("autostart: 1\nhealthcheck: true", service="db"), service="db"))
    second = launched(plan_of(settings_of("autostart: 4", service="web"), service="web"))
    services = generated(quadlets([first, second])[0], tmp_path)
    assert "After=db.service" in services["web"]
    assert "--sdnotify=healthy" in services["db"]
    assert "WantedBy=multi-user.target default.target" in quadlets([first])[0][0].text
