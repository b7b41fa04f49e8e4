"""What docker's containerd says of snapshots, through a program that speaks as `ctr` does."""

import json
import os
import socket
from pathlib import Path

import pytest

from dockyard.engine.about import About
from dockyard.engine.dialect import DOCKER, PODMAN
from dockyard.engine.engine import Engine
from dockyard.errors import EngineSilentError
from dockyard.layers.containerd import Snapshots, chain_id, listening, overlay_in
from dockyard.layers.directories import Overlay

DIFFS = [
    "sha256:ec0b723b2c5784b42d98c6cc40c86fc9f5d881dd6d6f24c15f42a5924385af7a",
    "sha256:87568cefc6387258816a80b437f356e279e98956184e1bfcd91659152b9fedb4",
    "sha256:4c50b36bacb16c48a9d73d5e32af1a2f90941bbb75043cd1e1ce9c19d84bc9dd",
    "sha256:12150071bb50f020d0be4233d491564758002bd4f9e6e7a376586df2d32e64c1",
    "sha256:78a6dfb1650f2d9706dc99284d2973f930974ec27cc26d7fbe103e0e1d28b174",
    "sha256:2b47c628d1cff57955bcf41559cf220013008611bb22d1be4a32398513fb3306",
]
CHAIN = "sha256:55858e7200115c3ab2f458e2cce5539f079c26972a3b9773069db1707e64bcca"
"""What docker 28.5 has as the snapshot of an image of these layers."""


def test_chain_id() -> None:
    """The digest over all layers, as containerd computes it; that of one layer is the layer's own."""
    assert chain_id(DIFFS) == CHAIN
    assert chain_id(DIFFS[:1]) == DIFFS[0]
    assert chain_id(()) == ""


@pytest.mark.parametrize(
    ("text", "overlay"),
    [
        (
            "mount -t overlay overlay /dockyard -o workdir=/w,upperdir=/s/25/fs,lowerdir=/s/24/fs:/s/23/fs,index=off\n",
            Overlay("/s/25/fs", ("/s/24/fs", "/s/23/fs")),
        ),
        (
            "mount -t overlay overlay /dockyard -o index=off,lowerdir=/s/24/fs:/s/23/fs\n",
            Overlay("", ("/s/24/fs", "/s/23/fs")),
        ),
        ("mount -t bind /a b/s/18/fs /dockyard -o ro,rbind\n", Overlay("", ("/a b/s/18/fs",))),
        ("mount -t bind /s/18/fs /dockyard -o rw,rbind\n", None),
        ("mount -t btrfs /dev/sda /dockyard -o subvol=1\n", None),
        ("mount -t fuse3.fuse-overlayfs overlay /dockyard -o lowerdir=/a:/b\n", Overlay("", ("/a", "/b"))),
        ("", None),
        ("mount -t overlay\n", None),
    ],
)
def test_answers(text: str, overlay: Overlay | None) -> None:
    """Both kinds of snapshots, of ctr 1.7 and 2.1; anything else says nothing."""
    assert overlay_in(text) == overlay


class Containerd:
    """A containerd with some snapshots, and the `ctr` that asks it."""

    def __init__(self, place: Path) -> None:
        self.place, self.state = place, place / "state"
        self.state.mkdir()
        self.log = place / "log"
        self.socket = place / "containerd.sock"
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(self.socket))
        program = place / "bin/ctr"
        program.parent.mkdir()
        program.write_text(_CTR.format(state=self.state, log=self.log))
        program.chmod(0o755)

    def has(self, key: str, answer: str) -> None:
        """Have a snapshot that is mounted in this way."""
        (self.state / key.replace("sha256:", "")).write_text(answer)

    @property
    def asked(self) -> list[str]:
        """The words of each question, from the snapshotter on."""
        return self.log.read_text().splitlines() if self.log.exists() else []


_CTR = """#!/bin/sh
[ "$1 $3 $4 $5 $6" = "--address --namespace moby snapshots --snapshotter" ] || exit 64
shift 6
echo "$*" >>{log}
shift
case $1 in
mounts) key=$3 ;;
view) key=${{5#sha256:}} view=$4
    [ ! -e "{state}/$view" ] || {{ echo "ctr: snapshot \\"$view\\": already exists" >&2; exit 1; }}
    [ ! -e "{state}/$key" ] || cp "{state}/$key" "{state}/$view" ;;
rm) rm "{state}/$2"; exit ;;
esac
cat "{state}/$key" 2>/dev/null || {{ echo "ctr: snapshot $key does not exist: not found" >&2; exit 1; }}
"""


@pytest.fixture
def containerd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Containerd:
    """Return a containerd whose `ctr` is found first."""
    made = Containerd(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setattr("dockyard.layers.containerd.listening", lambda _: [])
    return made


def snapshots(*sockets: Path, driver: str = "overlayfs") -> Snapshots:
    """Return the snapshots of an engine that does not answer, whose containerd is at one of these sockets."""
    dialect = DOCKER._replace(snapshot_sockets=tuple(map(str, sockets)))
    return Snapshots(Engine("/nonexistent/docker", dialect), driver)


def _mounted(place: Path, upper: bool = True) -> str:
    for name in ("1", "2", "3"):
        (place / name).mkdir(exist_ok=True)
    upperdir = f"upperdir={place}/3,workdir=/w," if upper else ""
    return f"mount -t overlay overlay /dockyard -o index=off,{upperdir}lowerdir={place}/2:{place}/1\n"


def test_layers_of_a_container(containerd: Containerd, tmp_path: Path) -> None:
    """Its id is the key; whether it runs is all the same."""
    containerd.has("c1", _mounted(tmp_path))
    found = snapshots(containerd.socket).of_container("c1")
    assert found == Overlay(f"{tmp_path}/3", (f"{tmp_path}/2", f"{tmp_path}/1"))
    assert containerd.asked == ["overlayfs mounts /dockyard c1"]


def test_layers_of_an_image(containerd: Containerd, tmp_path: Path) -> None:
    """A view of its snapshot says them, and is gone afterwards."""
    containerd.has(CHAIN, _mounted(tmp_path, upper=False))
    assert snapshots(containerd.socket).of_image(DIFFS) == (f"{tmp_path}/2", f"{tmp_path}/1")
    assert [path.name for path in containerd.state.iterdir()] == [CHAIN.removeprefix("sha256:")]


def test_view_that_a_killed_program_has_left(containerd: Containerd, tmp_path: Path) -> None:
    """It has the same name, so it is used, and removed."""
    containerd.has(CHAIN, _mounted(tmp_path, upper=False))
    left = f"dockyard-view-{CHAIN.removeprefix('sha256:')}"
    containerd.has(left, _mounted(tmp_path, upper=False))
    assert snapshots(containerd.socket).of_image(DIFFS) == (f"{tmp_path}/2", f"{tmp_path}/1")
    assert not (containerd.state / left).exists()


def test_what_containerd_does_not_have(containerd: Containerd) -> None:
    """The reason is containerd's own."""
    asked = snapshots(containerd.socket)
    assert asked.of_container("c1") is None
    assert asked.of_image(DIFFS) == ()
    assert "not found" in asked.reason


def test_directories_of_another_host(containerd: Containerd) -> None:
    """They are not believed."""
    containerd.has("c1", "mount -t overlay overlay /dockyard -o upperdir=/none/3,lowerdir=/none/2\n")
    asked = snapshots(containerd.socket)
    assert asked.of_container("c1") is None
    assert asked.reason == "containerd reports directories that are not on this host"


def test_relative_directories(containerd: Containerd) -> None:
    """They are not looked for in our own directory."""
    containerd.has("c1", "mount -t overlay overlay /dockyard -o upperdir=.,lowerdir=.\n")
    assert snapshots(containerd.socket).of_container("c1") is None


def test_the_first_socket_that_knows_it(containerd: Containerd, tmp_path: Path) -> None:
    """Sockets that are not there are passed over; one is not asked twice under two names."""
    (tmp_path / "link.sock").symlink_to(containerd.socket)
    containerd.has("c1", _mounted(tmp_path))
    asked = snapshots(tmp_path / "none.sock", tmp_path / "link.sock", containerd.socket)
    assert asked.of_container("c1")
    assert asked.of_container("c2") is None
    assert containerd.asked.count("overlayfs mounts /dockyard c2") == 1


def test_address_that_the_engine_tells(containerd: Containerd, tmp_path: Path) -> None:
    """With another --exec-root, containerd's socket is where `docker info` says."""
    docker = tmp_path / "bin/docker"
    docker.write_text(f"#!/bin/sh\necho '{json.dumps({'Containerd': {'Address': str(containerd.socket)}})}'\n")
    docker.chmod(0o755)
    containerd.has("c1", _mounted(tmp_path))
    dialect = DOCKER._replace(snapshot_sockets=())
    assert Snapshots(Engine(str(docker), dialect), "overlayfs").of_container("c1")


def test_nobody_is_asked(containerd: Containerd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other drivers and engines have no snapshots; without `ctr` that is the reason."""
    containerd.has("c1", _mounted(tmp_path))
    assert snapshots(containerd.socket, driver="vfs").of_container("c1") is None
    assert Snapshots(Engine("/nonexistent/podman", PODMAN), "overlay").of_container("c1") is None
    assert containerd.asked == []
    monkeypatch.setenv("PATH", "/nonexistent")
    asked = snapshots(containerd.socket)
    assert asked.of_container("c1") is None
    assert asked.reason == "`ctr` is not installed"


def test_sockets_of_a_host(tmp_path: Path) -> None:
    """Only what listens counts, not who is connected."""
    table = tmp_path / "unix"
    table.write_text(
        "Num       RefCount Protocol Flags    Type St Inode Path\n"
        "00000000a2da513d: 00000002 00000000 00010000 0001 01 45326 /run/x/containerd.sock.ttrpc\n"
        "000000001c77c5db: 00000002 00000000 00010000 0001 01 45327 /run/x y/containerd.sock\n"
        "0000000014551ecc: 00000003 00000000 00000000 0001 03 45758 /run/z/containerd.sock\n"
        "0000000014551ecc: 00000003 00000000 00000000 0001 03 45758\n"
    )
    assert listening("/containerd.sock", table) == ["/run/x y/containerd.sock"]
    assert listening("/containerd.sock", tmp_path / "none") == []


def test_an_engine_that_keeps_its_clients_waiting_is_asked_once(containerd: Containerd) -> None:
    """Only if the usual sockets do not know it; then its silence is an error, and no next question waits for it."""
    asked: list[str] = []

    class Silent(Engine):
        @property
        def about(self) -> About:  # type: ignore[override]
            asked.append("info")
            raise EngineSilentError("docker does not answer")

    containerd.has("c1", _mounted(containerd.place))
    dialect = DOCKER._replace(snapshot_sockets=(str(containerd.socket),))
    silent = Snapshots(Silent("docker", dialect), "overlayfs")
    assert silent.of_container("c1")
    assert asked == []
    with pytest.raises(EngineSilentError):
        silent.of_container("c2")
    assert asked == ["info"]
