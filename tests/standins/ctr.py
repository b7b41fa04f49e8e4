"""containerd's `ctr`, only for the mounts of snapshots: containers by id, images by chain id."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dockyard.layers.containerd import chain_id
from tests.standins.store import Store

MISSING = "ctr: snapshot {key} does not exist: not found"


def mounts_of_container(store: Store, state: dict[str, Any], key: str) -> str:
    """Return a container's overlay; empty if no container has that id."""
    container = state["containers"].get(key)
    if not container:
        return ""
    image = state["images"][container["image"]]
    lower = [store.tree(one) for one in (container["init"], *reversed(image["snapshots"]))]
    own = store.snapshots / container["snapshot"]
    return f"overlay overlay {{target}} -o workdir={own}/work,upperdir={own}/fs,lowerdir={_joined(lower)}"


def mounts_of_image(store: Store, state: dict[str, Any], key: str) -> str:
    """Return the layers up to a chain id; empty if no image has them."""
    for image in state["images"].values():
        digests = image["configuration"]["rootfs"]["diff_ids"]
        for count in range(1, len(digests) + 1):
            if chain_id(digests[:count]) == key:
                lower = [store.tree(one) for one in reversed(image["snapshots"][:count])]
                if count == 1:
                    return f"bind {lower[0]} {{target}} -o ro,rbind"
                return f"overlay overlay {{target}} -o lowerdir={_joined(lower)}"
    return ""


def _joined(lower: Sequence[Path]) -> str:
    return ":".join(map(str, lower))


def main(root: Path, argv: Sequence[str]) -> int:
    """Answer `ctr --address A --namespace moby snapshots --snapshotter S`, and `mounts`, `view` or `rm` with a key."""
    flags = dict(zip(argv[:4:2], argv[1:4:2], strict=True))
    command, *rest = argv[7:]
    store = Store(root)
    if flags != {"--address": str(store.socket), "--namespace": "moby"}:
        print("ctr: failed to dial: not found", file=sys.stderr)
        return 1
    state = json.loads((root / "state.json").read_text())
    if command == "rm":
        return 0
    target, key = (rest[0], rest[1]) if command == "mounts" else (rest[1], rest[3])
    found = mounts_of_container(store, state, key) or mounts_of_image(store, state, key)
    if not found:
        print(MISSING.format(key=key), file=sys.stderr)
        return 1
    print("mount -t", found.format(target=target))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(os.environ["STANDIN_ROOT"]), sys.argv[1:]))
