"""The state of a stand-in: images, tags, containers and networks, in a file that one command at a time can use."""

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

State = dict[str, Any]
"""`images` and `containers` by id, `tags` and `networks` by name, `cache`: the time of a build step's first run."""


def digest(value: object) -> str:
    """Return a hash of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


class Store:
    """The directory of a stand-in."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.snapshots = root / "snapshots"
        self.snapshots.mkdir(parents=True, exist_ok=True)
        self.socket = root / "containerd.sock"

    @contextmanager
    def state(self) -> Iterator[State]:
        """Lock the state during the block, and save it afterwards."""
        path = self.root / "state.json"
        with (self.root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            empty: State = {"images": {}, "tags": {}, "containers": {}, "networks": {}, "cache": {}, "next": 1}
            state = json.loads(path.read_text()) if path.exists() else empty
            yield state
            text = json.dumps(state, indent=1)
            (self.root / "state.new").write_text(text)
            (self.root / "state.new").rename(path)

    def new_snapshot(self, state: State) -> str:
        """Create the directory of a layer, named as by containerd's overlay snapshotter; returns its number."""
        number = str(state["next"])
        state["next"] += 1
        for name in ("fs", "work"):
            (self.snapshots / number / name).mkdir(parents=True)
        (self.snapshots / number / "fs").chmod(0o755)
        return number

    def tree(self, number: str) -> Path:
        """Return the directory of a layer."""
        return self.snapshots / number / "fs"
