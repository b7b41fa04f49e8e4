"""What a Dockerfile says that matters to others, as BuildKit reads it: stages, images, which files it may take."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from dockyard.dockerfile_text import Instruction, escape_character, instructions
from dockyard.dockerfile_words import WordError, expand_word, split_words
from dockyard.settings.types import has_glob

SCRATCH = "scratch"

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:(?:[a-zA-Z0-9.-]+|\[[0-9a-fA-F:]+\])(?::[0-9]+)?/)?{_PART}(?:/{_PART})*"
    r"(?::\w[\w.-]{0,127})?(?:@[a-zA-Z][\w+.-]*:[0-9a-fA-F]{32,})?",
    re.ASCII,
)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7", "i686": "386"}
_PLATFORM_PARTS = ("OS", "ARCH", "VARIANT")
_AS_LENGTH = 3  # words of `IMAGE AS NAME`


class Copied(NamedTuple):
    """What an ADD or COPY takes; `stage` is where from, empty for the build context."""

    options: tuple[str, ...]
    sources: tuple[str, ...]
    target: str

    @property
    def stage(self) -> str:
        """The stage or image that it copies from; empty for the build context."""
        found = (word.partition("=")[2] for word in self.options if word.startswith("--from="))
        return next(found, "")


class Stage(NamedTuple):
    """One stage: what it begins with, its name in lower case if it has one, and the line of its FROM.

    `parent` is the number of the earlier stage that it begins with. If that is None, `base` is an image; it is empty
    if FROM names nothing that BuildKit would take for one.
    """

    base: str
    name: str
    line: int
    instructions: tuple[Instruction, ...]
    parent: int | None = None

    @property
    def is_from_image(self) -> bool:
        """Whether it begins with an image: neither with another stage nor with nothing at all."""
        return self.parent is None and self.base != SCRATCH


def stages(text: str, arguments: Mapping[str, str]) -> tuple[Stage, ...]:
    """Return the stages, their bases with all arguments replaced."""
    every = instructions(text)
    begins = [number for number, one in enumerate(every) if one.name == "FROM"]
    escape = escape_character(text)
    variables = _global_arguments(every[: begins[0]] if begins else (), arguments, escape)
    found: list[Stage] = []
    for begin, end in pairwise([*begins, len(every)]):
        words = _after_options(every[begin].value)[1]
        base = _expanded(words[0], variables, escape) if words else ""
        parent = _stage_number(base, found)
        name = words[2].lower() if len(words) == _AS_LENGTH and words[1].lower() == "as" else ""
        found.append(Stage(base, name, every[begin].line, every[begin + 1 : end], parent))
    return tuple(found)


def base_images(text: str, arguments: Mapping[str, str]) -> tuple[str, ...]:
    """Return the references of all images that a Dockerfile takes something from, each once."""
    every = stages(text, arguments)
    found = [stage.base for stage in every if stage.is_from_image]
    for source in (source for stage in every for one in stage.instructions for source in _sources(one)):
        is_stage = source.isdecimal() or _stage_number(source, every) is not None
        found += [] if is_stage else [source]
    return tuple(dict.fromkeys(image for image in found if image != SCRATCH and is_reference(image)))


def is_reference(text: str) -> bool:
    """Return whether an engine would take a text for the reference of an image."""
    return bool(_REFERENCE.fullmatch(text))


def copied(instruction: Instruction) -> Copied:
    """Return what an ADD or COPY takes, in either of its forms; a here-document is not a file that it takes."""
    line = instruction.value.split("\n", maxsplit=1)[0]
    options, words = _after_options(line)
    names = [str(word) for word in _json(" ".join(words))] or [word for word in words if not word.startswith("<<")]
    return Copied(options, tuple(names[:-1]), names[-1] if names else "")


def assignments(instruction: Instruction) -> Iterator[tuple[str, str]]:
    """Yield what an ENV, ARG or LABEL sets: names and values; an ARG that only has a name has no value."""
    for name, value in _pairs(instruction, "\\"):
        try:
            yield name, expand_word(value or "", None)
        except WordError:
            yield name, value or ""


def may_take(text: str, names: Sequence[str]) -> bool:
    """Return whether some ADD or COPY may take one of these files from the top of the context."""
    for taken in (copied(one) for one in instructions(text) if one.name in {"ADD", "COPY"}):
        for source in () if taken.stage else taken.sources:
            plain = source.removeprefix("./").strip("/")
            if plain in {"", ".", *names} or has_glob(plain):
                return True
    return False


def build_arguments(parameters: Sequence[str], environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the arguments of a build, by name: the platform's, and each `--build-arg` of the build parameters.

    One without a value has that of the environment, if it is set there.
    """
    pairs = [pair.partition("=") for pair in given_values(parameters, "--build-arg")]
    given = {name: value if is_set else environment.get(name) for name, is_set, value in pairs}
    platform = next(iter(given_values(parameters, "--platform")[-1:]), "")
    return {**_platform_arguments(platform), **{name: value for name, value in given.items() if value is not None}}


def given_values(parameters: Sequence[str], flag: str) -> list[str]:
    """Return the values of a flag, in both of its spellings."""
    apart = [after for word, after in pairwise(parameters) if word == flag]
    return apart + [word.partition("=")[2] for word in parameters if word.startswith(f"{flag}=")]


def _platform_arguments(target: str) -> dict[str, str]:
    """Return the arguments that BuildKit sets by itself, such as TARGETARCH; `target` is `--platform`, if given."""
    machine = os.uname().machine
    build = f"linux/{_ARCHITECTURES.get(machine, machine)}"
    found = {}
    for prefix, platform in (("BUILD", build), ("TARGET", target or build)):
        found[f"{prefix}PLATFORM"] = platform
        parts = [*platform.split("/"), "", ""]
        found |= {f"{prefix}{name}": part for name, part in zip(_PLATFORM_PARTS, parts, strict=False)}
    return found


def _global_arguments(above: Sequence[Instruction], arguments: Mapping[str, str], escape: str) -> dict[str, str]:
    """Return the variables that FROM can use: the platform's, and what the ARGs above the first FROM declare."""
    variables = {name: value for name, value in arguments.items() if name in _platform_arguments("")}
    for name, default in (pair for one in above if one.name == "ARG" for pair in _pairs(one, escape)):
        if name in arguments:
            variables[name] = arguments[name]
        elif default is not None:
            variables[name] = _expanded(default, variables, escape)
    return variables


def _pairs(instruction: Instruction, escape: str) -> Iterator[tuple[str, str | None]]:
    """Yield names and values as they are written, with their quotes; None if there is no value."""
    try:
        words = split_words(instruction.value, escape)
    except WordError:
        words = instruction.value.split()
    if instruction.name == "ENV" and words and "=" not in words[0]:
        yield words[0], " ".join(words[1:])
        return
    for word in words:
        name, is_set, value = word.partition("=")
        yield name, value if is_set else None


def _expanded(word: str, variables: Mapping[str, str], escape: str) -> str:
    """Return a word with its variables replaced; empty if BuildKit refuses it."""
    try:
        return expand_word(word, variables, escape)
    except WordError:
        return ""


def _stage_number(name: str, among: Sequence[Stage]) -> int | None:
    """Return the number of the last stage of a name, in whatever case it is written."""
    found = [number for number, stage in enumerate(among) if stage.name and stage.name == name.lower()]
    return found[-1] if found else None


def _sources(instruction: Instruction) -> Iterator[str]:
    """Yield the stages and images that an instruction takes files from, as it names them."""
    if instruction.name == "COPY":
        yield from filter(None, [copied(instruction).stage])
    yield from (mount["from"] for mount in _mounts(instruction) if mount.get("from"))


def mounted_secrets(instruction: Instruction) -> tuple[str, ...]:
    """Return the ids of the secrets that a RUN mounts; without one, it is the base name of the target."""
    secrets = (mount for mount in _mounts(instruction) if mount.get("type") == "secret")
    return tuple(mount.get("id") or Path(mount.get("target", "")).name for mount in secrets)


def _mounts(instruction: Instruction) -> Iterator[dict[str, str]]:
    """Yield the fields of each `--mount` of a RUN, their names in lower case."""
    if instruction.name == "RUN":
        for mount in given_values(_after_options(instruction.value)[0], "--mount"):
            fields = (field.strip().partition("=") for field in mount.replace('"', "").split(","))
            yield {name.lower(): value for name, _, value in fields}


def _after_options(line: str) -> tuple[tuple[str, ...], list[str]]:
    """Return the options that a value begins with, and the words that follow."""
    words = line.split()
    number = next((place for place, word in enumerate(words) if not word.startswith("--")), len(words))
    return tuple(words[:number]), words[number:]


def _json(text: str) -> list[Any]:
    """Return a list that is written as JSON; an empty one if it is not, as the words then count as they are."""
    try:
        found = json.loads(text) if text.startswith("[") else []
    except ValueError:
        return []
    return found if isinstance(found, list) else []
