"""Shared by the stand-ins: verbs, flags, and the life cycle of images and containers."""

import datetime as dt
import io
import json
import os
import shutil
import socket
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from dockyard.plan.flags import Word, words_of
from dockyard.plan.run_flags import SHORT, SWITCHES, VALUED
from tests.standins import running
from tests.standins.building import Build, BuildError, run_build
from tests.standins.gotemplate import Struct, TemplateError, execute
from tests.standins.store import State, Store, digest

Thing = dict[str, Any]
GRACE = 10  # seconds after which `stop` kills a process


class RefusedError(Exception):
    """A command fails with the engine's message and exit code."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Options:
    """The flags and words of a command. Unknown flags are refused."""

    def __init__(self, argv: Sequence[str], valued: str = "", switches: str = "") -> None:
        self.values: dict[str, list[str]] = {}
        self.words: list[str] = []
        known = dict.fromkeys(valued.split(), True) | dict.fromkeys(switches.split(), False)
        letters = {"a": "all", "q": "quiet", "f": "force" if "force" in known else "filter", "t": "tag", "v": "volumes"}
        rest = list(argv)
        while rest:
            word = rest.pop(0)
            if word == "--" or not word.startswith("-") or word == "-":
                self.words += [word] if word != "--" else []
                continue
            name, equals, value = word.lstrip("-").partition("=")
            names = [name] if word.startswith("--") else [letters.get(letter, letter) for letter in name]
            for one in names:
                if one not in known:
                    raise RefusedError(f"unknown flag: --{one}", 125)
                taken = value if equals else rest.pop(0) if known[one] else "true"
                self.values.setdefault(one, []).append(taken)

    def has(self, name: str) -> bool:
        """Whether a switch is on."""
        return self.values.get(name, ["false"])[-1] == "true"

    def last(self, name: str, default: str = "") -> str:
        """Return the value of a flag that is used once."""
        return self.values.get(name, [default])[-1]

    def all(self, name: str) -> list[str]:
        """Return all values of a flag."""
        return self.values.get(name, [])


def split_run(argv: Sequence[str]) -> tuple[list[Word], str, list[str]]:
    """Return the flags of `run` or `create`, the image, and the command."""
    at = 0
    while at < len(argv) and argv[at].startswith("-"):
        word = argv[at]
        name = word[2:].partition("=")[0] if word.startswith("--") else SHORT.get(word[-1], "")
        if word.startswith("--") and name not in SWITCHES | VALUED | {"net"}:
            raise RefusedError(f"unknown flag: --{name}", 125)
        at += 2 if "=" not in word and name not in SWITCHES else 1
    if at >= len(argv):
        raise RefusedError('"run" requires at least 1 argument.', 125)
    return list(words_of(argv[:at])), argv[at], list(argv[at + 1 :])


def moment() -> str:
    """Return the current time in the engines' format."""
    return dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "000Z")


class StandIn:
    """An engine's client and the engine, in one process for each command."""

    name: ClassVar[str]
    version: ClassVar[str]

    def __init__(self, root: Path) -> None:
        self.store = Store(root)
        self.root = root

    @property
    def server_version(self) -> str:
        """The version that it reports, which the file `version` can change."""
        place = self.root / "version"
        return place.read_text() if place.exists() else self.version

    def main(self, argv: Sequence[str]) -> int:
        """Run a command; returns its exit code."""
        verb, rest = (argv[0], argv[1:]) if argv else ("help", [])
        if verb in {"container", "image", "network", "builder", "buildx", "system", "volume", "healthcheck"}:
            verb, rest = f"{verb} {rest[0] if rest else ''}", rest[1:]
        verb = {"container ls": "ps", "image ls": "images", "inspect": "container inspect"}.get(verb, verb)
        action: Callable[..., int | None] | None = getattr(self, f"do_{verb.replace(' ', '_')}", None)
        try:
            if not action:
                print(self.unknown_command(verb), file=sys.stderr)
                return 1
            self._hang(verb)
            with self.store.state() as state:
                self._notice_ends(state)
                code = action(state, rest)
        except RefusedError as error:
            print(error, file=sys.stderr)
            return error.exit_code
        except TemplateError as error:
            print(self.template_failed(str(error)), file=sys.stderr)
            return 1
        except BuildError as error:
            print(error, file=sys.stderr)
            return 1
        return code or 0

    def _hang(self, verb: str) -> None:
        """Wait while the file `hung` names a verb: a deadlocked engine still answers other queries."""
        place = self.root / "hung"
        while place.exists() and verb in place.read_text().split():
            time.sleep(0.1)

    # -------------------------------------------------------------------------------------------- an engine's messages
    def unknown_command(self, verb: str) -> str:
        """Return the message about an unknown verb."""
        raise NotImplementedError

    def template_failed(self, reason: str) -> str:
        """Return the message about a template that cannot be executed."""
        raise NotImplementedError

    def missing(self, kind: str, name: str) -> str:
        """Return the message about an object that does not exist."""
        raise NotImplementedError

    def row_of_container(self, state: State, container: Thing) -> Struct:
        """Return a container as the templates of `ps` see it."""
        raise NotImplementedError

    def answer_of_container(self, state: State, container: Thing) -> Thing:
        """Return the answer of `container inspect`."""
        raise NotImplementedError

    def answer_of_image(self, state: State, image: Thing) -> Thing:
        """Return the answer of `image inspect`."""
        raise NotImplementedError

    def add_image(self, state: State, configuration: Thing, snapshots: Sequence[str], options: Options) -> str:
        """Store an image that was built; returns its id."""
        raise NotImplementedError

    def image_in_list(self, image: Thing, tags: Sequence[str], *, every: bool, filtered: bool) -> bool:
        """Whether `images` lists an image."""
        raise NotImplementedError

    def port_taken(self, address: str, port: str) -> str:
        """Return the message about a host port that a process uses."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------------ containers
    def _notice_ends(self, state: State) -> None:
        for container in list(state["containers"].values()):
            if container["status"] == "running" and not running.is_alive(container["pid"]):
                self._ended(state, container)

    def _ended(self, state: State, container: Thing) -> None:
        place = self.store.snapshots / container["snapshot"] / "ended"
        deadline = time.monotonic() + 1
        while not place.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        code = int(place.read_text()) if place.exists() else 137
        container.update(status="exited", pid=0, exit_code=code, finished=moment())
        if container["flags"].get("rm"):
            self._remove(state, container)

    def find(self, state: State, name: str) -> Thing:
        """Return a container by name or by the beginning of its id. Raises RefusedError."""
        for one in state["containers"].values():
            if one["name"] == name.lstrip("/") or one["id"].startswith(name):
                return one
        raise RefusedError(self.missing("container", name))

    def find_image(self, state: State, name: str) -> Thing:
        """Return an image by reference or by the beginning of its id. Raises RefusedError."""
        plain = name.removeprefix("sha256:")
        tagged = state["tags"].get(self.full_name(name))
        for identifier, image in state["images"].items():
            if identifier == tagged or (len(plain) >= 12 and identifier.startswith(plain)):
                return image
        raise RefusedError(self.missing("image", name))

    def full_name(self, name: str) -> str:
        """Return a reference as it is stored."""
        return name if ":" in name.rpartition("/")[2] else f"{name}:latest"

    def tags_of(self, state: State, image: Thing) -> list[str]:
        """Return the tags of an image."""
        return sorted(tag for tag, identifier in state["tags"].items() if identifier == image["id"])

    def do_create(self, state: State, argv: Sequence[str]) -> None:
        """Create a container and print its id."""
        print(self._create(state, argv)["id"])

    def _create(self, state: State, argv: Sequence[str]) -> Thing:
        words, reference, command = split_run(argv)
        image = self.find_image(state, reference)
        flags: Thing = {}
        for word in words:
            if word.flag in SWITCHES:
                flags[word.flag] = word.value == "true"
            else:
                flags.setdefault(word.flag, []).append(word.value)
        name = flags.get("name", [f"quiet_{state['next']}"])[-1]
        if any(one["name"] == name for one in state["containers"].values()):
            raise RefusedError(f'Conflict. The container name "/{name}" is already in use', 125)
        identifier = digest([name, time.time_ns()])
        config = image["configuration"]["config"]
        entry = flags.get("entrypoint", []) or config.get("Entrypoint", [])
        container: Thing = {
            "id": identifier, "name": name, "image": image["id"], "image_name": reference, "flags": flags,
            "command": [*entry, *(command or ([] if "entrypoint" in flags else config.get("Cmd", [])))],
            "labels": {**config.get("Labels", {}), **dict(one.partition("=")[::2] for one in flags.get("label", []))},
            "status": "created", "pid": 0, "exit_code": 0, "created": moment(), "started": "", "finished": "",
            "restart": flags.get("restart", ["no"])[-1], "networks": flags.get("network", [self.default_network]),
            "snapshot": self.store.new_snapshot(state), "init": self.store.new_snapshot(state),
        }  # fmt: skip
        if not container["command"]:
            raise RefusedError("no command specified", 125)
        self._make_init(container)
        state["containers"][identifier] = container
        return container

    default_network: ClassVar[str] = "bridge"

    def _make_init(self, container: Thing) -> None:
        """Create the layer below a container's own, with the engine's mount points."""
        tree = self.store.tree(container["init"])
        for name in ("dev", "proc", "sys", "etc"):
            (tree / name).mkdir()
        for name in ("hosts", "hostname", "resolv.conf"):
            (tree / "etc" / name).touch()

    def lower_of(self, state: State, container: Thing) -> list[Path]:
        """Return the directories below a container's own, the uppermost first."""
        image = state["images"][container["image"]]
        return [self.store.tree(one) for one in (container["init"], *reversed(image["snapshots"]))]

    def do_run(self, state: State, argv: Sequence[str]) -> int:
        """Create and start a container; in the foreground unless detached."""
        container = self._create(state, argv)
        self._start(state, container)
        if container["flags"].get("detach"):
            print(container["id"])
            return 0
        while running.is_alive(container["pid"]):
            time.sleep(0.02)
        self._ended(state, container)
        sys.stdout.write(self._log(container))
        return int(container["exit_code"])

    def do_start(self, state: State, argv: Sequence[str]) -> None:
        """Start containers."""
        for name in Options(argv).words:
            self._start(state, self.find(state, name))
            print(name)

    def _start(self, state: State, container: Thing) -> None:
        if container["status"] == "running":
            return
        self._check_ports(state, container)
        config = state["images"][container["image"]]["configuration"]["config"]
        upper = self.store.tree(container["snapshot"])
        environment = dict(one.partition("=")[::2] for one in (*config.get("Env", []), *self._environment(container)))
        container["pid"] = running.start(
            self.lower_of(state, container), upper, container["command"], self._all_mounts(container), environment,
            self.root / f"{container['id']}.log",
        )  # fmt: skip
        container.update(status="running", started=moment(), exit_code=0)
        if not container["pid"]:
            self._ended(state, container)

    def _all_mounts(self, container: Thing) -> dict[str, str]:
        """Return a container's mounts, including those that an engine adds."""
        own = self.root / "mounted" / container["id"]
        own.mkdir(parents=True, exist_ok=True)
        for path in self.mounted_files:
            (own / Path(path).name).touch()
        return {**{path: str(own / Path(path).name) for path in self.mounted_files}, **mounts_of(container)}

    mounted_files: ClassVar[tuple[str, ...]] = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")

    def _environment(self, container: Thing) -> Iterator[str]:
        for one in container["flags"].get("env", []):
            yield one if "=" in one else f"{one}={os.environ.get(one, '')}"

    def _check_ports(self, state: State, container: Thing) -> None:
        for address, port, _ in published(container):
            for other in state["containers"].values():
                if other["status"] == "running" and any(one[1] == port for one in published(other)):
                    raise RefusedError(self.port_allocated(address, port), 125)
            try:
                with socket.create_server((address, int(port))):
                    pass
            except OSError:
                raise RefusedError(self.port_taken(address, port), 125) from None

    def port_allocated(self, address: str, port: str) -> str:
        """Return the message about a host port that another container uses."""
        return self.port_taken(address, port)

    def do_stop(self, state: State, argv: Sequence[str]) -> None:
        """Stop containers."""
        for name in Options(argv, valued="time timeout").words:
            container = self.find(state, name)
            if container["status"] == "running":
                running.stop(container["pid"], GRACE)
                self._ended(state, container)
            print(name)

    def do_restart(self, state: State, argv: Sequence[str]) -> None:
        """Stop and start containers."""
        self.do_stop(state, argv)
        self.do_start(state, argv)

    def do_kill(self, state: State, argv: Sequence[str]) -> None:
        """Send a signal."""
        import signal

        options = Options(argv, valued="signal")
        number = getattr(signal, f"SIG{options.last('signal', 'KILL').removeprefix('SIG')}")
        for name in options.words:
            os.kill(self.find(state, name)["pid"], number)

    def do_rename(self, state: State, argv: Sequence[str]) -> None:
        """Rename a container."""
        old, new = argv
        if any(one["name"] == new for one in state["containers"].values()):
            raise RefusedError(f'Conflict. The container name "/{new}" is already in use')
        self.find(state, old)["name"] = new

    def do_update(self, state: State, argv: Sequence[str]) -> None:
        """Set a restart policy."""
        options = Options(argv, valued="restart")
        for name in options.words:
            self.find(state, name)["restart"] = options.last("restart")

    def do_rm(self, state: State, argv: Sequence[str]) -> None:
        """Remove containers."""
        options = Options(argv, valued="time", switches="force volumes")
        for name in options.words:
            container = self.find(state, name)
            if container["status"] == "running":
                if not options.has("force"):
                    raise RefusedError(f"cannot remove container {name}: container is running: stop it first")
                running.stop(container["pid"], 0)
                self._ended(state, container)
            if container["id"] in state["containers"]:
                self._remove(state, container)
            print(name)

    def _remove(self, state: State, container: Thing) -> None:
        for number in (container["snapshot"], container["init"]):
            shutil.rmtree(self.store.snapshots / number, ignore_errors=True)
        del state["containers"][container["id"]]

    def _log(self, container: Thing) -> str:
        path = self.root / f"{container['id']}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def do_logs(self, state: State, argv: Sequence[str]) -> None:
        """Print the log of a container."""
        sys.stdout.write(self._log(self.find(state, Options(argv, valued="tail").words[0])))

    def do_exec(self, state: State, argv: Sequence[str]) -> int:
        """Run a command in a container."""
        rest = list(argv)
        while rest and rest[0].startswith("-"):
            taken = rest.pop(0)
            if taken in {"--user", "-u", "--env", "-e", "--workdir", "-w"}:
                rest.pop(0)
        container = self.find(state, rest[0])
        if container["status"] != "running":
            raise RefusedError(f"container {container['id']} is not running")
        sys.stdout.flush()
        return running.execute(container["pid"], rest[1:])

    def do_diff(self, state: State, argv: Sequence[str]) -> None:
        """Print what changed on top of a container's image."""
        container = self.find(state, argv[0])
        upper, lower = self.store.tree(container["snapshot"]), self.lower_of(state, container)
        for path in sorted(upper.rglob("*")):
            below = path.relative_to(upper)
            kind = "C" if any((layer / below).exists() for layer in lower) else "A"
            is_whiteout = path.is_char_device() and path.lstat().st_rdev == 0
            print(f"{'D' if is_whiteout else kind} /{below}")

    def do_cp(self, state: State, argv: Sequence[str]) -> None:
        """Write a file of a container as an archive to stdout."""
        options = Options(argv, switches="follow-link")
        name, _, path = options.words[0].partition(":")
        container = self.find(state, name)
        for layer in (self.store.tree(container["snapshot"]), *self.lower_of(state, container)):
            found = layer / path.lstrip("/")
            if found.exists():
                data = io.BytesIO()
                with tarfile.open(fileobj=data, mode="w") as tar:
                    tar.add(found, found.name)
                sys.stdout.buffer.write(data.getvalue())
                return
        raise RefusedError(f"Could not find the file {path} in container {name}")

    def do_export(self, state: State, argv: Sequence[str]) -> None:
        """Write all files of a container as an archive to stdout."""
        container = self.find(state, argv[0])
        found: dict[str, Path] = {}
        for layer in (self.store.tree(container["snapshot"]), *self.lower_of(state, container)):
            for path in layer.rglob("*"):
                found.setdefault(str(path.relative_to(layer)), path)
        with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as tar:
            for name, path in sorted(found.items()):
                if not (path.is_char_device() and path.lstat().st_rdev == 0):
                    tar.add(path, name, recursive=False)

    # ----------------------------------------------------------------------------------------------------------- lists
    def do_ps(self, state: State, argv: Sequence[str]) -> None:
        """List containers."""
        options = Options(argv, valued="format filter", switches="all quiet no-trunc")
        for container in sorted(state["containers"].values(), key=lambda one: one["created"], reverse=True):
            if not (options.has("all") or container["status"] == "running"):
                continue
            if all(_matches(container, condition) for condition in options.all("filter")):
                row = self.row_of_container(state, container)
                short = container["id"] if options.has("no-trunc") else container["id"][:12]
                print(short if options.has("quiet") else execute(options.last("format", "{{.ID}} {{.Names}}"), row))

    def do_container_inspect(self, state: State, argv: Sequence[str]) -> int:
        """Print the inspect answers of containers."""
        options = Options(argv, valued="format type")
        return self._inspect(options, lambda name: self.answer_of_container(state, self.find(state, name)))

    def do_image_inspect(self, state: State, argv: Sequence[str]) -> int:
        """Print the inspect answers of images."""
        options = Options(argv, valued="format platform")
        return self._inspect(options, lambda name: self.answer_of_image(state, self.find_image(state, name)))

    def do_network_inspect(self, state: State, argv: Sequence[str]) -> int:
        """Print the inspect answers of networks."""
        return self._inspect(Options(argv, valued="format"), lambda name: self._network(state, name))

    def _network(self, state: State, name: str) -> Thing:
        if name == self.default_network:
            return {
                "Name": name,
                "Id": digest(name),
                "Driver": "bridge",
                "IPAM": {"Config": [{"Subnet": "10.9.0.0/24"}]},
            }
        if name in state["networks"]:
            return dict(state["networks"][name])
        raise RefusedError(self.missing("network", name))

    def _inspect(self, options: Options, answer: Callable[[str], Thing]) -> int:
        found, code = [], 0
        for name in options.words:
            try:
                found.append(answer(name))
            except RefusedError as error:
                print(error, file=sys.stderr)
                code = error.exit_code
        if form := options.last("format"):
            print("\n".join(execute(form, one) for one in found))
        else:
            print(json.dumps(found, indent=4))
        return code

    def do_network_connect(self, state: State, argv: Sequence[str]) -> None:
        """Connect a container to a network."""
        network, name = argv[-2:]
        self.find(state, name)["networks"].append(network)

    def do_network_disconnect(self, state: State, argv: Sequence[str]) -> None:
        """Disconnect a container from a network."""
        network, name = argv[-2:]
        self.find(state, name)["networks"].remove(network)

    # ---------------------------------------------------------------------------------------------------------- images
    def do_images(self, state: State, argv: Sequence[str]) -> None:
        """List images."""
        options = Options(argv, valued="format filter", switches="all quiet no-trunc digests")
        dangling = "dangling=true" in options.all("filter")
        labels = [one.removeprefix("label=") for one in options.all("filter") if one.startswith("label=")]
        for image in state["images"].values():
            tags = self.tags_of(state, image)
            own = [f"{key}={value}" for key, value in image["configuration"]["config"].get("Labels", {}).items()]
            if (dangling and tags) or not set(labels) <= set(own):
                continue
            if not self.image_in_list(image, tags, every=options.has("all"), filtered=dangling):
                continue
            for tag in tags or ["<none>:<none>"]:
                print(self._image_row(image, tag, options))
                if options.has("quiet"):
                    break

    def _image_row(self, image: Thing, tag: str, options: Options) -> str:
        identifier = f"sha256:{image['id']}" if options.has("no-trunc") else image["id"][:12]
        repository, _, name = tag.rpartition(":")
        fields = {"ID": identifier, "Repository": repository, "Tag": name, "Size": "1.2MB", "CreatedAt": "now"}
        default = "{{.ID}}" if options.has("quiet") else "{{.Repository}}:{{.Tag}} {{.ID}}"
        return execute(options.last("format", default), Struct("*formatter.imageContext", fields))

    def do_history(self, state: State, argv: Sequence[str]) -> None:
        """List the steps of an image, the last one first."""
        options = Options(argv, valued="format", switches="no-trunc")
        image = self.find_image(state, options.words[0])
        for step in reversed(image["configuration"]["history"]):
            fields = {
                "CreatedBy": step["created_by"],
                "Comment": step.get("comment", ""),
                "Size": "0B",
                "ID": "<missing>",
            }
            print(execute(options.last("format", "{{.CreatedBy}}"), Struct("*formatter.historyContext", fields)))

    def do_tag(self, state: State, argv: Sequence[str]) -> None:
        """Give an image a tag."""
        source, target = argv
        state["tags"][self.full_name(target)] = self.find_image(state, source)["id"]

    def do_rmi(self, state: State, argv: Sequence[str]) -> None:
        """Remove tags, and images without any."""
        options = Options(argv, switches="force no-prune")
        for name in options.words:
            image = self.find_image(state, name)
            users = [one["name"] for one in state["containers"].values() if one["image"] == image["id"]]
            tagged = self.full_name(name)
            if tagged in state["tags"] and len(self.tags_of(state, image)) > 1:
                del state["tags"][tagged]
                print(f"Untagged: {tagged}")
                continue
            if users and not options.has("force"):
                raise RefusedError(
                    f"Error response from daemon: conflict: unable to delete {image['id'][:12]} (must be forced) - "
                    f"image is being used by {'running' if users else 'stopped'} container {users[0]}"
                )
            for tag in self.tags_of(state, image):
                del state["tags"][tag]
            del state["images"][image["id"]]
            print(f"Deleted: sha256:{image['id']}")

    def do_build(self, state: State, argv: Sequence[str]) -> None:
        """Build an image."""
        options = Options(
            argv,
            valued="tag iidfile label build-arg file target platform progress provenance sbom network volume"
            " metadata-file secret ssh output",
            switches="no-cache pull quiet force-rm rm load",
        )
        context = Path(options.words[0])
        arguments = dict(one.partition("=")[::2] for one in options.all("build-arg"))
        epoch = arguments.get("SOURCE_DATE_EPOCH") or os.environ.get("SOURCE_DATE_EPOCH", "")
        now = dt.datetime.fromtimestamp(int(epoch), dt.UTC).isoformat() if epoch else moment()
        build = Build(
            self.store,
            state,
            context,
            now,
            not options.has("no-cache"),
            arguments,
            lambda name: self.find_image(state, name),
        )
        dockerfile = Path(options.last("file", str(context / "Dockerfile")))
        labels = dict(one.partition("=")[::2] for one in options.all("label"))
        text = sys.stdin.read() if options.last("file") == "-" else dockerfile.read_text()
        built = run_build(build, text, labels)
        identifier = self.add_image(state, built.configuration, built.snapshots, options)
        for tag in options.all("tag"):
            state["tags"][self.full_name(tag)] = identifier
        print(f"Successfully built {identifier[:12]}", file=sys.stderr)

    def do_info(self, state: State, argv: Sequence[str]) -> None:
        """Print information about the engine."""
        options = Options(argv, valued="format")
        print(execute(options.last("format", "{{json .}}"), Struct(self.info_kind, self.info(state))))

    info_kind: ClassVar[str] = "system.dockerInfo"

    def info(self, state: State) -> Thing:
        """Return the fields of `info`."""
        raise NotImplementedError

    def do_version(self, _state: State, argv: Sequence[str]) -> None:
        """Print versions."""
        fields = {"Client": {"Version": self.version}, "Server": {"Version": self.version}, "Version": self.version}
        options = Options(argv, valued="format")
        print(execute(options.last("format", "{{.Server.Version}}"), Struct("system.versionInfo", fields)))


def mounts_of(container: Thing) -> dict[str, str]:
    """Return a container's mounts: sources by target."""
    found = {}
    for value in container["flags"].get("volume", []):
        source, target, *_ = value.split(":")
        found[target] = source
    for value in container["flags"].get("mount", []):
        fields = dict(one.partition("=")[::2] for one in value.split(","))
        found[fields.get("target") or fields["dst"]] = fields.get("source") or fields["src"]
    return found


def published(container: Thing) -> Iterator[tuple[str, str, str]]:
    """Yield host address, host port and container port of each published port."""
    for value in container["flags"].get("publish", []):
        *address, outside, inside = value.split(":")
        yield ":".join(address) or "0.0.0.0", outside, inside if "/" in inside else f"{inside}/tcp"  # noqa: S104


def _matches(container: Thing, condition: str) -> bool:
    name, _, value = condition.partition("=")
    if name == "label":
        key, equals, wanted = value.partition("=")
        return key in container["labels"] and (not equals or container["labels"][key] == wanted)
    if name in {"name", "id"}:
        return value in str(container[name])
    raise RefusedError(f"invalid filter '{name}'")
