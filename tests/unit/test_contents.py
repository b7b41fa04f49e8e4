"""Files that were created from a file of the service: which of them an edit of that file does not reach."""

import os
from pathlib import Path

from dockyard.contents import stale_files
from dockyard.plan.values import Contents, MakeDirectory, MakeFile


def test_a_file_is_stale_if_its_source_was_edited_since(tmp_path: Path) -> None:
    """Not one that is missing, is equal, was edited later than its source, or is made by a text or a command."""
    service, data = tmp_path / "service", tmp_path / "data"
    service.mkdir()
    data.mkdir()
    (service / "web.yaml").write_text("new")
    os.utime(service / "web.yaml", (1000, 1000))
    files = {"stale": ("old", 500), "equal": ("new", 500), "edited": ("by hand", 2000)}
    for name, (text, time) in files.items():
        (data / name).write_text(text)
        os.utime(data / name, (time, time))
    contents = Contents("file", "web.yaml", str(service))
    steps = [
        MakeDirectory(str(data)),
        *(MakeFile(str(data / name), contents=contents) for name in (*files, "missing")),
        MakeFile(str(data / "stale"), contents=Contents("text", "new")),
        MakeFile(str(data / "stale")),
        MakeFile(str(data / "stale"), contents=contents._replace(value="gone.yaml")),
    ]
    assert stale_files(steps) == [f"web.yaml has changed, but {data}/stale already exists and is not updated"]
