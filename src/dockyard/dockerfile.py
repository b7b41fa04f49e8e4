"""What a Dockerfile says that matters to others: which images it is built from, which files it may take."""

import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from dockyard.settings.types import has_glob

SCRATCH = "scratch"


def base_images(text: str, build_arguments: Mapping[str, str]) -> tuple[str, ...]:
    """Return the references of all images that a Dockerfile takes something from, each once."""
    parser = _parser(text, build_arguments)
    stages = {str(number) for number, _ in enumerate(parser.parent_images)} | set(_stage_names(parser))
    copied = (word.partition("=")[2] for _, words in _copies(parser) for word in words if word.startswith("--from="))
    found = [*parser.parent_images, *copied]
    return tuple(dict.fromkeys(image for image in found if image and image not in {SCRATCH, *stages}))


def may_take(text: str, names: Sequence[str]) -> bool:
    """Return whether some ADD or COPY may take one of these files from the top of the context."""
    for _, words in _copies(_parser(text, {})):
        if any(word.startswith("--from=") for word in words):
            continue
        for source in words[:-1]:
            plain = source.strip('[],"').removeprefix("./").strip("/")
            if plain in {"", ".", *names} or has_glob(plain):
                return True
    return False


def build_arguments(parameters: Sequence[str]) -> dict[str, str]:
    """Return the `--build-arg` of build parameters, by name."""
    pairs = [after for word, after in pairwise(parameters) if word == "--build-arg"]
    pairs += [word.partition("=")[2] for word in parameters if word.startswith("--build-arg=")]
    return dict(pair.partition("=")[::2] for pair in pairs)


def _parser(text: str, arguments: Mapping[str, str]) -> Any:  # noqa: ANN401 - it has no types
    from dockerfile_parse import DockerfileParser

    return DockerfileParser(fileobj=io.BytesIO(text.encode()), build_args=dict(arguments))


def _copies(parser: Any) -> Iterator[tuple[str, list[str]]]:  # noqa: ANN401
    for entry in parser.structure:
        if entry["instruction"] in {"ADD", "COPY"}:
            yield entry["instruction"], entry["value"].split()


def _stage_names(parser: Any) -> Iterator[str]:  # noqa: ANN401
    for entry in parser.structure:
        words = entry["value"].split()
        if entry["instruction"] == "FROM" and len(words) > 2 and words[-2].lower() == "as":  # noqa: PLR2004 - X as Y
            yield words[-1]
