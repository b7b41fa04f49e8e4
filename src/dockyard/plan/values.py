"""What passes from those who decide to those who act: the steps of a plan."""

import re
import shlex
from enum import Enum
from typing import NamedTuple


class Secret(NamedTuple):
    """An environment variable whose value must not appear on a screen, in a log or in a process list.

    `reference` says where the value comes from: `puid:CONTAINER`, `secret:NAME`, or `setting:puid`.
    """

    variable: str
    reference: str
    directory: str = ""
    flags: tuple[str, ...] = ()

    def shell(self) -> str:
        """Return an assignment that gets the value when it is pasted, and does not show it."""
        where = ("--cd", self.directory) if self.directory else ()
        command = shlex.join(("d-run", *where, *self.flags, "--reveal", self.reference))
        return f'{self.variable}="$({command})"'


class Command(NamedTuple):
    """One engine invocation, without the engine's name. Text is only for showing."""

    argv: tuple[str, ...]
    secrets: tuple[Secret, ...] = ()

    def shell(self, program: str) -> str:
        """Return the command as one pastes it."""
        return " ".join((*(secret.shell() for secret in self.secrets), shlex.join((program, *self.argv))))


class MakeDirectory(NamedTuple):
    """Make a directory, and those above it; one that exists stays as it is.

    Below `strict`, which begins the path, no part of the way may be a link: a container can write there.
    """

    path: str
    uid: int = 0
    gid: int = 0
    mode: int = 0o755
    strict: str = ""

    def shell(self, _program: str) -> str:
        """Return what does the same in a shell."""
        owner = f"-o {self.uid} -g {self.gid} -m {self.mode:04o}"
        quoted = shlex.quote(self.path)
        return f"[ -d {quoted} ] || install -d {owner} {quoted}"


class Contents(NamedTuple):
    """What a new file holds: `value` itself, the `file` it names, or the output of a `command` for a shell.

    Files and commands are those of a service: the one is below its `directory`, the other runs there.
    """

    kind: str
    value: str
    directory: str = ""

    def placed(self, path: str, uid: int, gid: int) -> "Contents":
        """Return a command with what stands for the file, its directory and its owner replaced, quoted for a shell."""
        if self.kind != "command":
            return self
        above = path.rpartition("/")[0] or "/"
        meant = {"target": path, "targetdir": above, "owner": str(uid), "group": str(gid)}
        replace = re.sub("%(target|targetdir|owner|group)%", lambda found: shlex.quote(meant[found[1]]), self.value)
        return self._replace(value=replace)

    def argv(self) -> tuple[str, ...]:
        """Return what runs a command in the service's directory."""
        return ("sh", "-c", 'cd -- "$1" && exec sh -c "$2"', "sh", self.directory, self.value)


class MakeFile(NamedTuple):
    """Make a file, empty or with contents, and the directories above it; one that exists stays as it is.

    It is made whole or not at all. `strict` as for a directory.
    """

    path: str
    uid: int = 0
    gid: int = 0
    mode: int = 0o644
    strict: str = ""
    contents: Contents | None = None

    def shell(self, _program: str) -> str:
        """Return what does the same in a shell."""
        path = shlex.quote(self.path)
        install = f"install -D -o {self.uid} -g {self.gid} -m {self.mode:04o}"
        if not self.contents:
            return f"[ -e {path} ] || {install} /dev/null {path}"
        contents = self.contents.placed(self.path, self.uid, self.gid)
        if contents.kind == "command":
            run = f"(cd {shlex.quote(contents.directory)} && sh -c {shlex.quote(contents.value)})"
            make = f'trap \'rm -f "$output"\' EXIT && {run} </dev/null >"$output" && {install} "$output" {path}'
            return f"[ -e {path} ] || (output=$(mktemp) && {make})"
        if contents.kind == "file":
            return f"[ -e {path} ] || {install} {shlex.quote(f'{contents.directory}/{contents.value}')} {path}"
        return f"[ -e {path} ] || printf %s {shlex.quote(contents.value)} | {install} /dev/stdin {path}"


class EmptyTestArea(NamedTuple):
    """Empty the test area of a service, `base`/TMP/`area`: all that an earlier instance left there."""

    base: str
    area: str

    @property
    def path(self) -> str:
        """The area's path."""
        return f"{self.base}/TMP/{self.area}"

    def shell(self, _program: str) -> str:
        """Return what does the same in a shell."""
        above, area = shlex.quote(f"{self.base}/TMP"), shlex.quote(self.path)
        return f"[ -L {above} ] || [ -L {area} ] || rm -rf --one-file-system {area}"


class CopyExtent(Enum):
    """How much of a directory a copy holds."""

    FILES = "files"
    """The directory and the files directly in it."""
    DIRECTORIES = "directories"
    """The whole tree of directories, without any file."""
    TREE = "tree"
    """The whole tree with its files."""


class CopyMethod(Enum):
    """How a copy comes about."""

    REFLINK = "reflink"
    OVERLAY = "overlay"
    COPY = "copy"


class CopyFact(NamedTuple):
    """How a production directory can be copied: whether files can share blocks, and why an overlay is refused."""

    reflink: bool = False
    overlay_refused: str = ""


_LEFT_OUT = "-type s -o -type b -o -type c"
_ATTRIBUTES = "--acls --xattrs --xattrs-include='*'"
_OVERLAY = "redirect_dir=on,index=on,xino=auto"


class Copy(NamedTuple):
    """Copy a production directory (or one file) to its test copy in a test area, `area`.

    `layers` is the directory, in the test area, that holds what an overlay needs; `or_copy`: where the kernel refuses
    the method, a real copy is as good.
    """

    source: str
    path: str
    area: EmptyTestArea
    extent: CopyExtent
    method: CopyMethod
    layers: str = ""
    or_copy: bool = False

    def shell(self, _program: str) -> str:
        """Return what does the same in a shell, but for the times of directories in which it leaves something out."""
        target, above = shlex.quote(self.path), shlex.quote(self.path.rpartition("/")[0])
        if self.extent is CopyExtent.DIRECTORIES:
            how = self._frame(self.path, "-type", "d")
        elif self.method is CopyMethod.OVERLAY:
            how = self._overlay()
        else:
            how = self._files() if self.extent is CopyExtent.FILES else self._tree()
        return f"[ -e {target} ] || {{ mkdir -p {above} && {how}; }}"

    def _frame(self, target: str, *found: str) -> str:
        """Return what copies the directories that `find` finds, with all attributes."""
        made, source = shlex.quote(target), shlex.quote(self.source)
        pack = f"find . {shlex.join(found)} -print0 | tar -cf - --null --no-recursion {_ATTRIBUTES} -T -"
        return f"mkdir {made} && (cd {source} && {pack}) | tar -xpf - {_ATTRIBUTES} -C {made}"

    def _copy(self) -> str:
        shared = "never" if self.method is CopyMethod.COPY else "auto" if self.or_copy else "always"
        return f"cp -a --reflink={shared}"

    def _tree(self) -> str:
        """Return the command that copies a tree without sockets and devices."""
        source, target = shlex.quote(self.source), shlex.quote(self.path)
        return f"{self._copy()} -H -T {source} {target} && find {target} \\( {_LEFT_OUT} \\) -delete"

    def _files(self) -> str:
        """Return what copies a directory and the files directly in it."""
        source, target = shlex.quote(self.source), shlex.quote(self.path)
        found = f"find -H {source} -mindepth 1 -maxdepth 1 ! \\( -type d -o {_LEFT_OUT} \\)"
        frame = self._frame(self.path, "-maxdepth", "0")
        return f"{frame} && {found} -exec {self._copy()} -t {target} {{}} + && touch -r {source} {target}"

    def _overlay(self) -> str:
        """Return what mounts an overlay: by descriptors, so that no path needs escaping."""
        layers, upper, work = (shlex.quote(f"{self.layers}{name}") for name in ("", "/upper", "/work"))
        source, target = shlex.quote(self.source), shlex.quote(self.path)
        make = f"mkdir -p {target} {layers} {work} && {self._frame(f'{self.layers}/upper', '-maxdepth', '0')}"
        hide = f"(cd {source} && find . -mindepth 1 -maxdepth 1 -type d -exec mknod {upper}/{{}} c 0 0 \\;)"
        sides = "lowerdir=/proc/self/fd/7,upperdir=/proc/self/fd/8,workdir=/proc/self/fd/9"
        mount = f"mount -i -t overlay -o nodev,{_OVERLAY},{sides} {layers} {target} 7<{source} 8<{upper} 9<{work}"
        hidden = [hide, f"touch -r {source} {upper}"] if self.extent is CopyExtent.FILES else []
        return " && ".join((make, *hidden, mount))


HostStep = MakeDirectory | MakeFile | EmptyTestArea | Copy
Step = Command | HostStep
