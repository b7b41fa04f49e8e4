"""Pins: the digests that a Dockerfile and `image` of settings.yaml name beside tags. Nothing else of a text changes."""

from collections.abc import Mapping
from typing import NamedTuple

from dockyard.dockerfile_places import Place, image_places
from dockyard.errors import SettingsError
from dockyard.settings.nodes import Node, Scalar, Sequence, parse, value_span

IMAGE = "image"


class Change(NamedTuple):
    """A reference that is replaced, and the line of its instruction."""

    line: int
    before: str
    after: str


class Refusal(NamedTuple):
    """A reference that cannot be replaced, and why."""

    line: int
    reference: str
    reason: str


class Edit(NamedTuple):
    """A text with what was changed in it, and what could not be."""

    text: str
    changes: tuple[Change, ...] = ()
    refusals: tuple[Refusal, ...] = ()


def is_pinned(reference: str) -> bool:
    """Return whether a reference names a digest."""
    return "@" in reference


def with_digest(reference: str, digest: str) -> str:
    """Return a reference with its tag, also the one that is left out, and a digest."""
    name = reference.partition("@")[0]
    tag = "" if ":" in name.rpartition("/")[2] else ":latest"
    return f"{name}{tag}@{digest}"


def pin_text(text: str, digests: Mapping[str, str], arguments: Mapping[str, str]) -> Edit:
    """Return a Dockerfile with the digests of images by their references, where it names none.

    `arguments` are those of the build: see `build_arguments`.
    """
    wanted = {name: with_digest(name, digest) for name, digest in digests.items() if not is_pinned(name)}
    return change_references(text, wanted, arguments)


def change_reference(text: str, old: str, new: str, arguments: Mapping[str, str]) -> Edit:
    """Return a Dockerfile in which every mention of an image is one of another."""
    return change_references(text, {old: new}, arguments)


def change_references(text: str, wanted: Mapping[str, str], arguments: Mapping[str, str]) -> Edit:
    """Return a Dockerfile with other references, as `wanted` has them by the old ones."""
    places = image_places(text, arguments)
    meant = [place for place in places if wanted.get(place.reference, place.reference) != place.reference]
    usable = [place for place in meant if not _reason(place, wanted[place.reference])]
    parts = {(place.begin, place.end): wanted[place.reference].removeprefix(place.head) for place in usable}
    after = text
    for (begin, end), part in sorted(parts.items(), reverse=True):
        after = after[:begin] + part + after[end:]
    expected = [wanted[place.reference] if place in usable else place.reference for place in places]
    if [place.reference for place in image_places(after, arguments)] != expected:
        refusals = (Refusal(place.line, place.reference, "other parts of the file depend on it") for place in meant)
        return Edit(text, (), tuple(refusals))
    return Edit(
        after,
        tuple(Change(place.line, place.reference, wanted[place.reference]) for place in usable),
        tuple(
            Refusal(place.line, place.reference, reason)
            for place in meant
            if (reason := _reason(place, wanted[place.reference]))
        ),
    )


def substitute_references(text: str, wanted: Mapping[str, str], arguments: Mapping[str, str]) -> str:
    """Return a Dockerfile to build from, which names other images; it never replaces the owner's file.

    Each mention is replaced as a whole, so what is written with variables can be replaced, too. Raises ValueError if
    that does not lead to the references that are wanted.
    """
    places = image_places(text, arguments)
    spans = {place.word: wanted[place.reference] for place in places if place.reference in wanted}
    after = text
    for (begin, end), reference in sorted(spans.items(), reverse=True):
        after = after[:begin] + reference + after[end:]
    expected = [wanted.get(place.reference, place.reference) for place in places]
    if [place.reference for place in image_places(after, arguments)] != expected:
        raise ValueError("other parts of the Dockerfile depend on the names of its base images")
    return after


def _reason(place: Place, new: str) -> str:
    """Return why a place cannot name another image; empty if it can."""
    is_of_head = new.startswith(place.head) and len(new) > len(place.head)
    return place.reason or ("" if is_of_head else f"`{place.head}` in it comes from a variable")


def change_image(text: str, old: str, new: str) -> Edit:
    """Return a settings.yaml whose `image` is another reference; nothing changes unless it is the old one.

    Raises SettingsError for a text that is not YAML.
    """
    span = value_span(text, IMAGE)
    if not span or old == new or _values(text)[IMAGE] != old:
        return Edit(text)
    begin, end = span
    line = text.count("\n", 0, begin) + 1
    written = text[begin:end]
    quote = written[:1] if written[:1] in {"'", '"'} else ""
    after = f"{text[:begin]}{quote}{new}{quote}{text[end:]}"
    if written != f"{quote}{old}{quote}" or not _differs_only_so(text, after, old, new):
        return Edit(text, (), (Refusal(line, old, f"`{IMAGE}` is not written as a plain text"),))
    return Edit(after, (Change(line, old, new),))


def _differs_only_so(before: str, after: str, old: str, new: str) -> bool:
    """Return whether two texts say the same, but for the image."""
    try:
        one, other = _values(before), _values(after)
    except SettingsError:
        return False
    return (one.pop(IMAGE, None), other.pop(IMAGE, None)) == (old, new) and one == other


def _values(text: str) -> dict[str, object]:
    """Return what a settings file says, without where it says so."""
    return {key.text: _bare(node) for key, node in parse(text, IMAGE).pairs}


def _bare(node: Node) -> object:
    if isinstance(node, Scalar):
        return None if node.empty else node.text
    if isinstance(node, Sequence):
        return [_bare(item) for item in node.items]
    return [(key.text, _bare(value)) for key, value in node.pairs]
