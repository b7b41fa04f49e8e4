"""Rules for what runs in a container, its health check and its stop."""

import math
import shlex
from collections.abc import Iterator

from dockyard.moving.context import Context
from dockyard.moving.outcome import Carried, Left, Outcome, flag, pair, setting
from dockyard.moving.reading import read_env_file
from dockyard.moving.rules import Rule, of_map
from dockyard.moving.tree import Part, seconds
from dockyard.settings.nodes import Scalar, Sequence

IN_THE_IMAGE = "have the program read it from its environment or from a file"


def words(part: Part) -> list[str]:
    """Return the words of a command: the items of a list, or a text split as in the shell; otherwise none."""
    if isinstance(part.node, Sequence):
        return [item.text for item in part.items()]
    try:
        return shlex.split(part.text)
    except ValueError:
        return []


def entrypoint(part: Part, _: Context) -> Iterator[Outcome]:
    """Yield the flag for the first word; the others precede the command. An empty one removes the image's."""
    first, *others = words(part) or [""]
    yield flag("--entrypoint", first, *part.leaves())
    for word in others:
        yield setting("cmd", word, *part.leaves())


def command(part: Part, _: Context) -> Iterator[Outcome]:
    """Yield the words of the command."""
    for word in words(part):
        yield setting("cmd", word, *part.leaves())
    if part.is_empty:
        yield Carried((part,), how="the image's command, as by default")


def _test(part: Part, _: Context) -> Iterator[Outcome]:
    kind, *rest = [item.text for item in part.items()] or [""]
    leaves = part.leaves()
    if not isinstance(part.node, Sequence):
        yield pair("healthcheck", "cmd", part.text, *leaves)
    elif kind == "NONE":
        yield Carried(leaves, "healthcheck", Scalar("none"))
    elif kind == "CMD-SHELL":
        yield pair("healthcheck", "cmd", " ".join(rest), *leaves)
    elif kind == "CMD" and rest:
        yield pair("healthcheck", "cmd", shlex.join(rest), *leaves)


def _disable(part: Part, _: Context) -> Iterator[Outcome]:
    if part.is_set:
        yield Carried((part,), "healthcheck", Scalar("none", part.node.where))
    else:
        yield Carried((part,), how="a health check, as by default")


def _health(name: str) -> Rule:
    return lambda part, _: [pair("healthcheck", name, part.text, part)]


def _unknown_health(part: Part, _: Context) -> Iterator[Outcome]:
    since = "docker before 25 does not support it"
    yield Left(part.leaves(), since, f"if yours does: `extra_docker: --health-start-interval={part.text}`")


healthcheck = of_map(
    {
        "test": _test,
        "disable": _disable,
        **{name: _health(name) for name in ("interval", "timeout", "retries", "start_period")},
    },
    _unknown_health,
)


def stop_grace_period(part: Part, _: Context) -> Iterator[Outcome]:
    """Yield whole seconds, rounded up."""
    wanted = seconds(part.text)
    if wanted is not None:
        yield setting("stop_timeout", str(math.ceil(wanted)), part)


def environment(part: Part, context: Context) -> Iterator[Outcome]:
    """Yield variables; one without a value is taken from the environment of the import."""
    for name, value in part.pairs().items():
        inherited = context.project.variables.get(name)
        if not value.is_empty:
            yield from variable(name, value, context)
        elif inherited is None:
            yield Left((value,), f"`{name}` has no value in the environment or in .env", "write it in `env`")
        else:
            where = value.node.where
            yield from variable(name, value._replace(node=Scalar(inherited, where)), context)


def variable(name: str, value: Part, context: Context, used: tuple[str, ...] = ()) -> Iterator[Outcome]:
    """Yield one variable: a secret by its name, with the secret; another as it is, with a leading star escaped."""
    secret = context.secret(name, value, used)
    if secret:
        yield secret
        yield pair("env", name, f"*{secret.name}", value)
    else:
        yield pair("env", name, f"\\{value.text}" if value.text.startswith(("*", "\\*")) else value.text, value)


def env_file(part: Part, context: Context) -> Iterator[Outcome]:
    """Yield the variables of files: later ones override earlier ones, and `environment` all. Raises UsageError."""
    said = context.part.at("environment")
    own = said.pairs() if said else {}
    found: dict[str, tuple[Part, tuple[str, ...]]] = {}
    for item in part.items() or [part]:
        fields = item.pairs()
        path = fields.get("path", item)
        file = context.path(path.text)
        optional = "required" in fields and not fields["required"].is_set
        yield Carried(item.leaves(), how="its variables are in `env`")
        if optional and not file.is_file():
            continue
        raw = "format" in fields and fields["format"].text == "raw"
        for one in read_env_file(file, path.text, context.project.variables, raw=raw):
            value = context.project.variables.get(one.name) if one.value is None else one.value
            if value is not None:
                found[one.name] = (Part((*item.path, one.name), Scalar(value, f"{one.where}:1")), one.used)
    for name, (value_there, used) in found.items():
        if name not in own:
            yield from variable(name, value_there, context, used)


def without_secrets(outcome: Carried, context: Context) -> Carried | Left:
    """Return an outcome; if it would write a secret, its parts are left behind."""
    if outcome.key == "env" or not outcome.key:
        return outcome
    secret = next(filter(None, map(context.uses_secret, outcome.parts)), "")
    why = f"it contains a secret, {secret}, which does not belong into settings.yaml"
    return Left(outcome.parts, why, IN_THE_IMAGE) if secret else outcome
