"""What a Dockerfile says that matters to others: its instructions, its images, which files it may take."""

import io
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from dockyard.settings.types import has_glob

SCRATCH = "scratch"

_DOCUMENT = re.compile(r"""<<-?\s*(["']?)([A-Za-z_]\w*)\1""")


class Instruction(NamedTuple):
    """One instruction, its lines joined, with the here-documents that it holds; `line` counts from 1."""

    name: str
    value: str
    line: int


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
    """One stage: the image or stage that it begins with, its name if it has one, and the line of its FROM."""

    base: str
    name: str
    line: int
    instructions: tuple[Instruction, ...]


def instructions(text: str) -> tuple[Instruction, ...]:
    """Return all instructions, in order."""
    plain, documents = _without_documents(text)
    found = []
    for entry in _parser(plain, {}).structure:
        lines = range(entry["startline"], entry["endline"] + 1)
        value = "\n".join([entry["value"], *(documents[line] for line in lines if line in documents)])
        if entry["instruction"] != "COMMENT":
            found.append(Instruction(entry["instruction"], value, entry["startline"] + 1))
    return tuple(found)


def stages(text: str, build_arguments: Mapping[str, str]) -> tuple[Stage, ...]:
    """Return the stages, their images with all arguments replaced."""
    every = instructions(text)
    begins = [number for number, one in enumerate(every) if one.name == "FROM"]
    bases = _parser(text, build_arguments).parent_images
    return tuple(
        Stage(base, _stage_name(every[begin].value), every[begin].line, every[begin + 1 : end])
        for base, (begin, end) in zip(bases, pairwise([*begins, len(every)]), strict=False)
    )


def copied(instruction: Instruction) -> Copied:
    """Return what an ADD or COPY takes, in either of its forms."""
    words = instruction.value.split("\n", maxsplit=1)[0].split()
    number = next((place for place, word in enumerate(words) if not word.startswith("--")), len(words))
    options, rest = tuple(words[:number]), " ".join(words[number:])
    names = [str(word) for word in _json(rest)] or rest.split()
    return Copied(options, tuple(names[:-1]), names[-1] if names else "")


def assignments(instruction: Instruction) -> Iterator[tuple[str, str]]:
    """Yield what an ENV, ARG or LABEL sets: names and values; an ARG that only has a name has no value."""
    try:
        words = shlex.split(instruction.value)
    except ValueError:  # a quote that does not end
        words = instruction.value.split()
    if instruction.name == "ENV" and words and "=" not in words[0]:
        yield words[0], " ".join(words[1:])
        return
    yield from (word.partition("=")[::2] for word in words)


def base_images(text: str, build_arguments: Mapping[str, str]) -> tuple[str, ...]:
    """Return the references of all images that a Dockerfile takes something from, each once."""
    every = stages(text, build_arguments)
    own = {str(number) for number, _ in enumerate(every)} | {stage.name for stage in every}
    found = [*(stage.base for stage in every), *(copied(one).stage for one in _copies(text))]
    return tuple(dict.fromkeys(image for image in found if image and image not in {SCRATCH, *own}))


def may_take(text: str, names: Sequence[str]) -> bool:
    """Return whether some ADD or COPY may take one of these files from the top of the context."""
    for taken in map(copied, _copies(text)):
        for source in () if taken.stage else taken.sources:
            plain = source.removeprefix("./").strip("/")
            if plain in {"", ".", *names} or has_glob(plain):
                return True
    return False


def build_arguments(parameters: Sequence[str]) -> dict[str, str]:
    """Return the `--build-arg` of build parameters, by name."""
    pairs = [after for word, after in pairwise(parameters) if word == "--build-arg"]
    pairs += [word.partition("=")[2] for word in parameters if word.startswith("--build-arg=")]
    return dict(pair.partition("=")[::2] for pair in pairs)


def _copies(text: str) -> Iterator[Instruction]:
    return (one for one in instructions(text) if one.name in {"ADD", "COPY"})


def _json(text: str) -> list[Any]:
    """Return a list written as JSON; nothing where it is none, as then the words are taken as they are."""
    try:
        found = json.loads(text) if text.startswith("[") else []
    except ValueError:
        return []
    return found if isinstance(found, list) else []


def _stage_name(value: str) -> str:
    words = value.split()
    return words[-1] if len(words) > 2 and words[-2].lower() == "as" else ""  # noqa: PLR2004 - X as Y


def _parser(text: str, arguments: Mapping[str, str]) -> Any:  # noqa: ANN401 - it has no types
    from dockerfile_parse import DockerfileParser

    plain, _ = _without_documents(text)
    return DockerfileParser(fileobj=io.BytesIO(plain.encode()), build_args=dict(arguments))


def _without_documents(text: str) -> tuple[str, dict[int, str]]:
    """Return a text in which here-documents are comments, and what they hold, by the line on which each begins.

    The library would take their lines for instructions.
    """
    lines = text.split("\n")
    documents: dict[int, str] = {}
    number = 0
    while number < len(lines):
        begin, code = number, not lines[number].lstrip().startswith("#")
        for _, word in _DOCUMENT.findall(lines[number]) if code else ():
            end = next((later for later in range(number + 1, len(lines)) if lines[later].strip() == word), number)
            documents[begin] = "\n".join([documents.get(begin, ""), *lines[number + 1 : end]]).strip("\n")
            lines[number + 1 : end + 1] = ["#"] * (end - number)
            number = end
        number += 1
    return "\n".join(lines), documents
