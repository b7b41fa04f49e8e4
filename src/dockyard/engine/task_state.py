"""What containerd left of a container in its state directory, if it was killed while it removed that.

It renames a container's directory `ID` to `.ID` before it removes it. If it is killed in between, and once more after
the next start of the container, `ID` can no longer be renamed, and stays, also when containerd is started again. Every
start then fails: `mkdir …/ID: file exists`. Seen with Docker 28.5.
"""

import os
from pathlib import Path

from dockyard.removal import DIRECTORY, remove_directory


def remove_task_state(directory: str, container: str) -> bool:
    """Remove what is left of a container, by full id, and return whether there was anything that could be removed.

    Only for a container that the engine says is down, and that has no shim. Nothing that is mounted is touched.
    """
    names = [name for name in (f".{container}", container) if Path(directory, name).is_dir()]
    if any(_is_mounted_below(os.path.realpath(Path(directory, name))) for name in names):
        return False
    try:
        above = os.open(directory, DIRECTORY)
    except OSError:  # another host's, or not ours to change
        return False
    try:
        for name in names:
            remove_directory(name, above)
    except OSError:
        return False
    finally:
        os.close(above)
    return bool(names)


def _is_mounted_below(path: str) -> bool:
    from dockyard.paths import mount_table

    return any(mount.point == path or mount.point.startswith(f"{path}/") for mount in mount_table())
