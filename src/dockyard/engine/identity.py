"""The content of an image: one hash that is the same on every engine and in every image store.

An engine's image id is the digest of a manifest, of an index or of a configuration, depending on its store, and covers
times and attestations. The content covers what a container of the image consists of and how it runs, and nothing else
(docs/decisions/image-identity.md).
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

Answer = Mapping[str, Any]

SOURCE_LABEL = "dockyard.source"
"""On an image: a hash of all that it was made from."""
BASES_LABEL = "dockyard.bases"
"""On an image: the images that it was built on, `NAME=CONTENT` of each."""
BASE_DIGESTS_LABEL = "dockyard.base-digests"
"""On an image: the digests of those of these images that came from a registry, `NAME=DIGEST` of each."""
TRIMMED_LABEL = "dockyard.trimmed"
"""On an image: the id of the image that it is what is needed of."""
TRIMMED_FOR_LABEL = "dockyard.trimmed-for"
"""On such an image: a hash of what decided on what is needed (Builder.decides_on_trimming)."""
TRIMMED_BY = "d-build --trim of "
"""How the only step of a trimmed image begins; the id of the whole image follows."""
_RECORD_LABELS = frozenset({SOURCE_LABEL, BASES_LABEL, BASE_DIGESTS_LABEL, TRIMMED_LABEL, TRIMMED_FOR_LABEL})
"""Labels that say how an image was made, not what is in it."""
_BUILDER_LABELS = frozenset({"io.buildah.version"})
"""Labels that a builder adds by itself: they change with its version."""

_CHECK_NUMBERS = ("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")
_DEFAULT_VARIANTS = frozenset({("arm64", "v8")})
"""Variants that some engines leave out."""


def content_of(answer: Answer) -> str:
    """Return the content of an image from the engine's answer to `image inspect`.

    Without layers in the answer, it is the image's id: then only the same image is equal to it.
    """
    layers = (answer.get("RootFS") or {}).get("Layers")
    if layers is None:
        return str(answer["Id"]).removeprefix("sha256:")
    return _hash({"layers": list(layers), "configuration": configuration_of(answer)})


def configuration_of(answer: Answer) -> str:
    """Return a hash of all that an image is, except its files: its platform, and how its containers run."""
    return _hash({"platform": _platform(answer), **_normalised(answer)})


def _hash(value: Mapping[str, Any]) -> str:
    import json

    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _normalised(answer: Answer) -> dict[str, Any]:
    """Return how an image's containers run, spelled in one way, without what is empty."""
    config = answer.get("Config") or {}
    directory = config.get("WorkingDir") or ""
    found = {
        "user": config.get("User"),
        "ports": sorted(config.get("ExposedPorts") or ()),
        "environment": config.get("Env"),
        "entrypoint": _words(config.get("Entrypoint")),
        "command": _words(config.get("Cmd")),
        "volumes": sorted(config.get("Volumes") or ()),
        "directory": directory if directory != "/" else "",
        "signal": config.get("StopSignal"),
        "health": _check(config.get("Healthcheck") or answer.get("Healthcheck") or answer.get("HealthCheck") or {}),
        "shell": _words(config.get("Shell")),
        "triggers": config.get("OnBuild"),
        "labels": _labels(config.get("Labels") or {}),
    }
    return {name: value for name, value in found.items() if value}


def _platform(answer: Answer) -> list[str]:
    architecture, variant = answer.get("Architecture") or "", answer.get("Variant") or ""
    if (architecture, variant) in _DEFAULT_VARIANTS:
        variant = ""
    return [answer.get("Os") or "", architecture, variant]


def _words(value: str | Iterable[str] | None) -> list[str]:
    return value.split() if isinstance(value, str) else list(value or ())


def _check(check: Answer) -> dict[str, Any]:
    numbers = {name: check[name] for name in _CHECK_NUMBERS if check.get(name)}
    return {"Test": list(check["Test"]), **numbers} if check.get("Test") else {}


def _labels(labels: Mapping[str, str | None]) -> dict[str, str]:
    """Return the labels that are the image's own: neither dockyard's record of its making nor the builder's."""
    return {name: value or "" for name, value in labels.items() if name not in _RECORD_LABELS | _BUILDER_LABELS}
