"""What a quarantine's tar says of what is in it: exact bytes and all that an entry is, so that it can be put back."""

import base64
import os
from typing import Any, NamedTuple

from dockyard.scan.entries import FORMATS, Facts
from dockyard.text import escaped

NAME = "MANIFEST.json"
UNKNOWN = "0" * 64
"""In place of a hash until it is known."""


class Item(NamedTuple):
    """A change that is undone: where, what it was, what stood there (nothing where the image's entry was deleted).

    `changed` is the time of the last change of the inode, in ns. `name_of` is the path of an earlier item that is
    another name of the same file. `sha256` is of the bytes that are in the tar.
    """

    path: str
    what: str
    facts: Facts | None = None
    inode: tuple[int, int] = (0, 0)
    changed: int = 0
    name_of: str = ""
    sha256: str = ""

    @property
    def member(self) -> str:
        """How it is called in the tar."""
        return f"files{self.path}"

    def row(self) -> dict[str, Any]:
        """Return it for the manifest."""
        row = {**_exact("path", self.path), "what": self.what, "done": _DONE.get(self.what, "the image's is put back")}
        if self.facts is None:
            return row
        facts = self.facts
        return {
            **row,
            "kind": facts.kind,
            "mode": f"{facts.mode:04o}",
            "owner": list(facts.owner),
            "accessed_ns": facts.times[0],
            "modified_ns": facts.times[1],
            "changed_ns": self.changed,
            "inode": list(self.inode),
            "attributes": [
                {**_exact("name", name), "value_base64": base64.b64encode(value).decode()}
                for name, value in facts.attributes.items()
            ],
            "size": facts.size,
            "device": [os.major(facts.device), os.minor(facts.device)],
            **_exact("target", facts.target),
            **_exact("name_of", self.name_of),
            "sha256": self.sha256,
        }


_DONE = {"new": "removed"}


def item_of(row: dict[str, Any]) -> Item:
    """Return what a manifest says. Raises KeyError, ValueError or TypeError where it does not say it."""
    path, what = _read("path", row), row["what"]
    if "kind" not in row:
        return Item(path, what)
    facts = Facts(
        FORMATS[row["kind"]],
        int(row["mode"], 8),
        (int(row["owner"][0]), int(row["owner"][1])),
        (row["accessed_ns"], row["modified_ns"]),
        {_read("name", one): base64.b64decode(one["value_base64"]) for one in row["attributes"]},
        row["size"],
        _read("target", row),
        os.makedev(*row["device"]),
    )
    inode = (int(row["inode"][0]), int(row["inode"][1]))
    return Item(path, what, facts, inode, row["changed_ns"], _read("name_of", row), row["sha256"])


def _exact(word: str, text: str) -> dict[str, str]:
    """Return a text for JSON; the exact bytes too where it is no UTF-8."""
    raw = os.fsencode(text)
    if raw.decode("utf-8", "replace").encode() == raw:
        return {word: text}
    return {word: escaped(text), f"{word}_base64": base64.b64encode(raw).decode()}


def _read(word: str, row: dict[str, Any]) -> str:
    exact = row.get(f"{word}_base64")
    return os.fsdecode(base64.b64decode(exact)) if exact is not None else str(row[word])
