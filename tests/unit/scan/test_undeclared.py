"""Whether an image's history ends with what d-build does, in the words of each builder."""

import pytest

from dockyard.engine.models import BuildStep
from dockyard.scan.undeclared import ends_with_build

SOURCE = "0f1e2d"
BUILDKIT = "buildkit.dockerfile.v0"
LEGACY = [
    BuildStep(f"/bin/sh -c #(nop)  LABEL dockyard.source={SOURCE} dytest=1"),
    BuildStep("/bin/sh -c #(nop) CMD x"),
]
BUILDAH = [
    BuildStep(f'/bin/sh -c #(nop) LABEL "dytest"="1" "dockyard.source"="{SOURCE}"'),
    BuildStep("/bin/sh -c #(nop) COPY dir:1 in / "),
]
OF_BUILDKIT = [BuildStep('CMD ["/bin/sh"]', BUILDKIT), BuildStep("COPY files / # buildkit", BUILDKIT)]
TRIMMED = [BuildStep("d-build --trim of 5d3f")]
COMMIT = BuildStep("sh -c sleep 600")


@pytest.mark.parametrize(
    "steps", [LEGACY, BUILDAH, OF_BUILDKIT, TRIMMED], ids=["legacy", "buildah", "buildkit", "trim"]
)
def test_a_commit_is_not_what_d_build_does(steps: list[BuildStep]) -> None:
    """Each builder's history is recognised; the same with a layer committed on top is not."""
    assert ends_with_build(steps, SOURCE)
    assert not ends_with_build([COMMIT, *steps], SOURCE)


def test_another_source_is_not_this_one() -> None:
    """A label step of another source, and an image without a history, do not count."""
    assert not ends_with_build(LEGACY, "abc")
    assert not ends_with_build([], SOURCE)
