"""Builds of a stand-in: the Dockerfile instructions that our tests use; each with files adds a layer."""

import hashlib
import json
import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dockyard.dockerfile_text import instructions
from tests.standins import running
from tests.standins.store import State, Store, digest

Configuration = dict[str, Any]


class Build(NamedTuple):
    """One build: its request, and the time of steps that are not in the cache."""

    store: Store
    state: State
    context: Path
    now: str
    use_cache: bool
    arguments: Mapping[str, str]
    find: Callable[[str], Mapping[str, Any]]
    """Returns the image of a reference."""


class Built(NamedTuple):
    """An OCI configuration, and the layers' snapshots, the lowest first."""

    configuration: Configuration
    snapshots: tuple[str, ...]


class BuildError(Exception):
    """A build failed, with the builder's message."""


EMPTY: Configuration = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"diff_ids": []}, "history": []}


def run_build(build: Build, dockerfile: str, labels: Mapping[str, str]) -> Built:
    """Execute a Dockerfile. Raises BuildError."""
    built = Built({}, ())
    values = dict(build.arguments)
    for instruction in instructions(dockerfile):
        text = _expand(instruction.value, values)
        if instruction.name == "FROM":
            built = _from(build, text)
        elif instruction.name == "ARG":
            name, _, default = text.partition("=")
            values.setdefault(name, default)
        else:
            built = _step(build, built, instruction.name, text)
    if not built.configuration:
        raise BuildError("ERROR: failed to solve: no build stage in current context")
    configuration = built.configuration
    if labels:  # BuildKit writes it into the configuration, and not into the history
        config = {**configuration["config"], "Labels": {**configuration["config"].get("Labels", {}), **labels}}
        configuration = {**configuration, "config": config}
    return Built(configuration, built.snapshots)


def _expand(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value).replace(f"${name}", value)
    return text


def _from(build: Build, text: str) -> Built:
    name = text.split(maxsplit=1)[0]
    if name == "scratch":
        return Built({**EMPTY, "created": build.now, "config": {}, "rootfs": {"diff_ids": []}, "history": []}, ())
    image = build.find(name)
    return Built(image["configuration"], tuple(image["snapshots"]))


def _step(build: Build, built: Built, name: str, text: str) -> Built:
    if name in {"COPY", "ADD", "RUN"}:
        return _layer(build, built, name, text)
    config = dict(built.configuration["config"])
    _configure(config, name, text)
    step = {"created_by": f"{name} {text}", "comment": "buildkit.dockerfile.v0", "empty_layer": True}
    return built._replace(configuration=_with_step(build, built.configuration, step, digest([name, text]), config))


def _configure(config: Configuration, name: str, text: str) -> None:  # noqa: C901 - one case an instruction
    words = _words(text)
    match name:
        case "LABEL":
            config["Labels"] = {**config.get("Labels", {}), **dict(pair.split("=", 1) for pair in shlex.split(text))}
        case "ENV":
            config["Env"] = [*config.get("Env", []), *shlex.split(text)]
        case "USER":
            config["User"] = text
        case "WORKDIR":
            config["WorkingDir"] = text
        case "EXPOSE":
            config["ExposedPorts"] = {f"{text.removesuffix('/tcp')}/tcp": {}}
        case "VOLUME":
            config["Volumes"] = {path: {} for path in words}
        case "CMD":
            config["Cmd"] = words
        case "ENTRYPOINT":
            config["Entrypoint"] = words
        case "STOPSIGNAL":
            config["StopSignal"] = text
        case "HEALTHCHECK":
            command = text.partition("CMD ")[2]
            config["Healthcheck"] = {"Test": ["CMD-SHELL", command] if command else ["NONE"]}
        case _:
            raise BuildError(f"ERROR: failed to solve: dockerfile parse error: unknown instruction: {name}")


def _words(text: str) -> list[str]:
    if text.startswith("["):
        return [str(word) for word in json.loads(text)]
    return ["/bin/sh", "-c", text]


def _with_step(
    build: Build, configuration: Configuration, step: Mapping[str, Any], key: str, config: Configuration
) -> Configuration:
    """Add a step to the history. A cached step has the time of its first run, as in BuildKit."""
    whole = digest([configuration, dict(step), key])
    cache = build.state["cache"]
    created = cache[whole] if build.use_cache and whole in cache else build.now
    cache[whole] = created
    history = [*configuration["history"], {"created": created, **step}]
    return {**configuration, "config": config, "created": created, "history": history}


def _layer(build: Build, built: Built, name: str, text: str) -> Built:
    number = build.store.new_snapshot(build.state)
    tree = build.store.tree(number)
    if name == "RUN":
        lower = [build.store.tree(one) for one in reversed(built.snapshots)]
        done = running.run_once(lower, tree, build.store.snapshots / number / "work", _words(text))
        if done.returncode:
            message = f'ERROR: failed to solve: process "/bin/sh -c {text}" did not complete successfully'
            raise BuildError(f"{done.stdout}{done.stderr}{message}: exit code: {done.returncode}")
    else:
        _copy(build.context, tree, [word for word in text.split() if not word.startswith("--")])
    diff_id = f"sha256:{_hash_of(tree)}"
    created_by = f"{name} {'/bin/sh -c ' if name == 'RUN' else ''}{text} # buildkit"
    step = {"created_by": created_by, "comment": "buildkit.dockerfile.v0"}
    base = built.configuration
    configuration = {**base, "rootfs": {"type": "layers", "diff_ids": [*base["rootfs"]["diff_ids"], diff_id]}}
    configuration = _with_step(build, configuration, step, diff_id, base["config"])
    return Built(configuration, (*built.snapshots, number))


def _copy(context: Path, tree: Path, words: list[str]) -> None:
    *sources, target = words
    for source in sources:
        found = context / source
        place = tree / target.lstrip("/")
        if found.is_dir():
            shutil.copytree(found, place, symlinks=True, dirs_exist_ok=True)
        elif found.exists():
            into = place / found.name if target.endswith("/") else place
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(found, into)
        else:
            raise BuildError(f'ERROR: failed to solve: failed to calculate checksum of ref: "/{source}": not found')


def _hash_of(tree: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(tree.rglob("*")):
        status = path.lstat()
        found.update(repr((str(path.relative_to(tree)), status.st_mode, status.st_uid, status.st_gid)).encode())
        if path.is_symlink():
            found.update(os.fsencode(path.readlink()))
        elif path.is_file():
            found.update(path.read_bytes())
    return found.hexdigest()
