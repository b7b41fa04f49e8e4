"""Trees that are deeper than any path that the kernel takes."""

import os
from pathlib import Path

NAME = "d" * 200


def bury(top: Path, depth: int) -> None:
    """Make a file called `payload` under so many directories with long names."""
    above = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(NAME, dir_fd=above)
        inner = os.open(NAME, os.O_RDONLY, dir_fd=above)
        os.close(above)
        above = inner
    os.close(os.open("payload", os.O_CREAT | os.O_WRONLY, dir_fd=above))
    os.close(above)
