"""Which ids of the host those in containers are, from what engines answer."""

from pathlib import Path

import pytest

from dockyard.engine.dialect import DOCKER, PODMAN, Dialect
from dockyard.engine.engine import Engine
from dockyard.engine.models import IdMap, IdRange

USERNS = '["name=apparmor","name=seccomp,profile=default","name=userns"]'
INFO = "info --format {{.DockerRootDir}} {{json .SecurityOptions}}"
PLAIN = '["name=apparmor","name=seccomp,profile=default"]'
ROOTLESS = """\
         0       1000          1
         1     100000      65536
         0       1001          1
         1     200000      65536
"""


def _both(*ranges: IdRange) -> IdMap:
    return IdMap(ranges, ranges)


@pytest.mark.parametrize(
    ("answer", "subordinate", "ids"),
    [
        (f"/var/lib/docker {PLAIN}", "dockremap:100000:65536\n", IdMap()),
        (f"/var/lib/docker/100000.100000 {USERNS}", "", _both(IdRange(0, 100000, 65536))),
        (
            f"/var/lib/docker/100000.100000 {USERNS}",
            "joe:5:9\ndockremap:100000:2000\n",
            _both(IdRange(0, 100000, 2000)),
        ),
        (
            f"/var/lib/docker/100000.200000 {USERNS}",
            "#\n\nx\n",
            IdMap((IdRange(0, 100000, 65536),), (IdRange(0, 200000, 65536),)),
        ),
        (f"/srv/disk/7.8 {USERNS}", "", IdMap((IdRange(0, 7, 65536),), (IdRange(0, 8, 65536),))),
        # a directory that only looks so, and a daemon whose directory does not
        (f"/srv/docker/100000.100000 {PLAIN}", "", IdMap()),
        (f"/var/lib/docker {USERNS}", "", IdMap()),
        ("/var/lib/docker null", "", IdMap()),
        ("", "", IdMap()),
    ],
)
def test_docker_maps_ids_where_it_says_so(answer: str, subordinate: str, ids: IdMap):
    assert DOCKER.read_id_map(answer, subordinate) == ids


@pytest.mark.parametrize(
    ("answer", "ids"),
    [
        (
            ROOTLESS,
            IdMap((IdRange(0, 1000, 1), IdRange(1, 100000, 65536)), (IdRange(0, 1001, 1), IdRange(1, 200000, 65536))),
        ),
        ("0 1000 1\n0 1000 1\n", _both(IdRange(0, 1000, 1))),
        ("0 0 4294967295\n0 0 4294967295\n", _both(IdRange(0, 0, 4294967295))),
        ("", IdMap()),
    ],
)
def test_podman_maps_ids_as_its_user_namespace_does(answer: str, ids: IdMap):
    assert PODMAN.read_id_map(answer, "joe:5:9") == ids


@pytest.mark.parametrize(
    ("dialect", "user", "answer", "asked", "mapped"),
    [
        (DOCKER, 0, f"/var/lib/docker/100000.100000 {USERNS}", [INFO], 100033),
        (DOCKER, 1000, f"/var/lib/docker {PLAIN}", [INFO], 33),
        (PODMAN, 1000, ROOTLESS, ["unshare cat /proc/self/uid_map /proc/self/gid_map"], 100032),
        (PODMAN, 0, "", [], 33),  # podman refuses to tell root
    ],
)
def test_an_engine_is_asked_once_and_only_where_it_may_map(  # noqa: PLR0913, PLR0917 - a table
    dialect: Dialect,
    user: int,
    answer: str,
    asked: list[str],
    mapped: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("os.geteuid", lambda: user)
    (tmp_path / "answer").write_text(answer)
    (tmp_path / "asked").touch()
    program = tmp_path / dialect.name
    program.write_text(f'#!/bin/sh\ncd {tmp_path} && echo "$@" >> asked && cat answer\n')
    program.chmod(0o755)
    engine = Engine(str(program), dialect)
    assert [engine.id_map.uid(33), engine.id_map.uid(33)] == [mapped, mapped]
    assert (tmp_path / "asked").read_text().splitlines() == asked
