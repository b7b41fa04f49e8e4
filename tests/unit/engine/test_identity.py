"""The content of an image: tests/golden/inspect/identity.json has one image, moved between engines, as each sees it."""

import copy
import json
from typing import Any

import pytest

from dockyard.engine.models import image_from
from tests.unit.making import GOLDEN

Answer = dict[str, Any]
ANSWERS: dict[str, Answer] = json.loads((GOLDEN / "inspect/identity.json").read_text(encoding="utf-8"))
OVERLAY, CONTAINERD = "docker-28.5-overlay2", "docker-28.5-containerd"


def content(answer: Answer) -> str:
    """Return the content of an image."""
    return image_from(answer).content


def changed(**fields: Any) -> Answer:  # noqa: ANN401 - as an engine has them
    """Return the recorded image with other fields; those in lower case are of its configuration."""
    answer = copy.deepcopy(ANSWERS[OVERLAY])
    for name, value in fields.items():
        (answer if name in answer else answer["Config"])[name] = value
    return answer


@pytest.mark.parametrize("engine", ANSWERS)
def test_a_moved_image_has_the_same_content_on_every_engine(engine: str) -> None:
    """Eight engines and stores, of which two say another id, agree on the content."""
    assert content(ANSWERS[engine]) == content(ANSWERS[OVERLAY])
    assert (image_from(ANSWERS[engine]).id == image_from(ANSWERS[OVERLAY]).id) == ("containerd" not in engine)


@pytest.mark.parametrize(
    "fields",
    [
        {"RootFS": {"Type": "layers", "Layers": ["sha256:1"]}},
        {"Architecture": "arm64"},
        {"User": "root"},
        {"ExposedPorts": {"81/tcp": {}}},
        {"Env": ["PATH=/bin", "WORD=other"]},
        {"Entrypoint": None},
        {"Cmd": ["-p", "81"]},
        {"Volumes": {"/other": {}}},
        {"WorkingDir": "/"},
        {"StopSignal": "SIGTERM"},
        {"Healthcheck": {"Test": ["NONE"]}},
        {"Shell": ["/bin/sh", "-c"]},
        {"OnBuild": ["RUN x"]},
        {"Labels": {"word": "other"}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_what_makes_a_difference_to_a_container_is_content(fields: Answer) -> None:
    """Files, platform and everything that says how a container runs."""
    assert content(changed(**fields)) != content(ANSWERS[OVERLAY])


@pytest.mark.parametrize(
    "fields",
    [
        {"Id": f"sha256:{'1' * 64}"},
        {"Created": "1970-01-01T00:00:00Z"},
        {
            "Hostname": "",
            "Domainname": "",
            "AttachStdin": False,
            "Tty": False,
            "Image": "",
            "OnBuild": None,
            "Shell": [],
        },
        {"Labels": {**ANSWERS[OVERLAY]["Config"]["Labels"], "dockyard.source": "other", "io.buildah.version": "1.28"}},
        {"Labels": {**ANSWERS[OVERLAY]["Config"]["Labels"], "dockyard.trimmed": "1", "dockyard.trimmed-for": "2"}},
    ],
    ids=["id", "created", "empty", "built by", "trimmed"],
)
def test_how_an_image_was_made_is_not_content(fields: Answer) -> None:
    """Ids, times, empty fields, and the labels of dockyard and of builders."""
    assert content(changed(**fields)) == content(ANSWERS[OVERLAY])


def test_a_platform_is_the_same_with_and_without_its_default_variant() -> None:
    """Podman does not report `v8` of arm64; another variant counts."""
    plain, default = changed(Architecture="arm64"), {**changed(Architecture="arm64"), "Variant": "v8"}
    assert content(plain) == content(default) != content({**plain, "Variant": "v9"})


def test_without_layers_only_the_same_image_is_equal() -> None:
    """An engine that does not report layers leaves nothing to compare but the id."""
    one, other = ({"Id": f"sha256:{digit * 64}", "Config": {}} for digit in "12")
    assert content(one) == "1" * 64
    assert not image_from(one).equals(image_from(other))
    assert image_from(one).equals(image_from(one))
    assert not image_from(one).equals(None)


def test_a_containerd_store_reports_the_digest_of_the_configuration() -> None:
    """It is what buildx writes into `--iidfile` without attestations, and no other engine's id."""
    answer = {**ANSWERS[CONTAINERD], "Descriptor": {"annotations": {"config.digest": "sha256:5d3f"}}}
    assert image_from(answer).config_digest == "5d3f"
    assert image_from(ANSWERS[OVERLAY]).config_digest == ""
