"""Rules for a service's image: its Dockerfile, and how it is built."""

import os
from collections.abc import Iterator
from pathlib import Path

from dockyard.context import entries_of
from dockyard.moving.context import Context, is_secret
from dockyard.moving.outcome import Carried, File, Left, Line, Outcome, setting
from dockyard.moving.rules import Rule, left, of_map, told
from dockyard.moving.tree import Part, size

OURS = {"settings.yaml", "Test", "Test-prod", "Build", "autostart"}
"""Names with a meaning in a service's directory."""


def image(part: Part, context: Context) -> Iterator[Outcome]:
    """Yield the first line of the Dockerfile; an image that is built here has another name."""
    if context.is_built:
        instead = f"`d build {context.directory}` names it `{context.directory}` in the first repository"
        yield Left((part,), "a built image has the name of its service", instead)
    else:
        yield Line(f"FROM {part.text}")
        yield Carried((part,), how="FROM in the Dockerfile")


def _context(part: Part, context: Context) -> Iterator[Outcome]:
    if "://" in part.text or part.text.startswith("git@"):
        yield Left((part,), "a remote build context is not fetched", "clone it, and use the path of its directory")
        return
    directory = context.path(part.text)
    said = context.part.at("build", "dockerfile")
    yield from _copied(directory, said.text if said else "Dockerfile", context)
    yield Carried((part,), how="copied into the service's directory")


def _copied(directory: Path, dockerfile: str, context: Context) -> Iterator[Outcome]:
    """Yield the files of a context, without those that hold secrets or belong to compose or git."""
    private = _private(context)
    for name, path in entries_of(directory) if directory.is_dir() else ():
        if name.partition("/")[0] == ".git" or path.absolute() in private or path.is_dir():
            continue
        if name in OURS:
            said = context.part.at("build") or context.part
            yield Left((said,), f"`{name}` of the build context has another meaning here", "rename it")
        elif name != "Dockerfile":
            yield File(name, source=path)
    if context.part.at("build", "dockerfile_inline") is None:
        file = Path(os.path.normpath(directory / dockerfile))
        if file.is_file():
            yield File("Dockerfile", source=file)


def _private(context: Context) -> set[Path]:
    """Return the files of a project that only compose reads: its own, and those with variables and secrets."""
    project = context.project
    found = {project.directory / ".env"}
    found |= set(project.directory.glob("*compose*.y*ml"))
    for service in project.services.values():
        files = service.at("env_file")
        found |= {context.path((item.pairs().get("path") or item).text) for item in (files.items() if files else ())}
    every = project.root.at("secrets")
    for secret in every.pairs().values() if every else ():
        file = secret.at("file")
        found |= {context.path(file.text)} if file else set()
    return found


def _parameter(name: str) -> Rule:
    return lambda part, _: [setting("build_params", f"{name}={item.text}", item) for item in part.items()]


def _parameters(name: str) -> Rule:
    def rule(part: Part, _: Context) -> Iterator[Outcome]:
        for key, value in part.pairs().items():
            if is_secret(key, value.text):
                yield Left((value,), "anyone who has the image can read its build arguments", "use `build_secrets`")
            else:
                text = f"{name}={key}" if value.is_empty else f"{name}={key}={value.text}"
                yield setting("build_params", text, value)

    return rule


def _switch(name: str) -> Rule:
    def rule(part: Part, _: Context) -> Iterator[Outcome]:
        yield setting("build_params", name, part) if part.is_set else Carried((part,), how="off by default")

    return rule


def _inline(part: Part, context: Context) -> Iterator[Outcome]:
    if secret := context.uses_secret(part):
        yield Left((part,), f"it contains a secret, {secret}", "write a Dockerfile without it")
        return
    yield File("Dockerfile", part.text)
    yield Carried((part,), how="the Dockerfile")


_BUILD = of_map(
    {
        "context": _context,
        "dockerfile": told("the Dockerfile"),
        "dockerfile_inline": _inline,
        "args": _parameters("--build-arg"),
        "labels": _parameters("--label"),
        "target": _parameter("--target"),
        "network": _parameter("--network"),
        "cache_from": _parameter("--cache-from"),
        "extra_hosts": _parameter("--add-host"),
        "shm_size": lambda part, _: [setting("build_params", f"--shm-size={size(part.text)}", part)],
        "no_cache": _switch("--no-cache"),
        "pull": _switch("--pull"),
        "isolation": _parameter("--isolation"),
    },
    left("d-build has no setting for it", "if the engine's build has a flag for it, use `build_params`"),
)


def build(part: Part, context: Context) -> Iterator[Outcome]:
    """Yield the build context's files and the parameters of the build."""
    fields = part.pairs()
    if fields:
        yield from _BUILD(part, context)
        if "context" not in fields:
            said = fields.get("dockerfile")
            yield from _copied(context.project.directory, said.text if said else "Dockerfile", context)
    else:
        yield from _context(part, context)
