"""What a build writes: which lines are passed on, and what is saved of them."""

from hypothesis import given
from hypothesis import strategies as st

from dockyard.build_output import BuildOutput
from dockyard.engine.dialect import DOCKER
from dockyard.masking import MASK, Masker

MISSING = """\
DEPRECATED: The legacy builder is deprecated and will be removed in a future release.
            Install the buildx component to build images with BuildKit:
            https://docs.docker.com/go/buildx/

Sending build context to Docker daemon  2.048kB
"""
DISABLED = """\
DEPRECATED: The legacy builder is deprecated and will be removed in a future release.
            BuildKit is currently disabled; enable it by removing the DOCKER_BUILDKIT=0
            environment-variable.

Step 1/2 : FROM a
"""


def passed(text: str, *secrets: str, part: int = 7) -> tuple[str, str]:
    """Return what is shown and what is saved of a text that comes in parts."""
    shown: list[str] = []
    output = BuildOutput(shown.append, DOCKER.builder_notice, Masker(secrets))
    saved = "".join(output.write(text[begin : begin + part]) for begin in range(0, len(text), part))
    saved += output.end()
    return "".join(shown), saved


def test_the_notice_of_the_legacy_builder_is_dropped() -> None:
    """Both of its forms, with the empty line after them, and nothing else."""
    assert passed(MISSING)[0] == "Sending build context to Docker daemon  2.048kB\n"
    assert passed(DISABLED)[0] == "Step 1/2 : FROM a\n"
    other = "DEPRECATED: something else\n            https://docs.docker.com/go/buildx/\n\nnext\n"
    assert passed(other)[0] == other


def test_secrets_are_masked_where_they_are_shown_and_where_they_are_saved() -> None:
    """Each line of each value, also where a build step prints it."""
    text = "#6 0.4 token=s3cr3t-value\n#6 0.5 -----BEGIN\n#6 0.5 second line\nno end s3cr3t-value"
    shown, saved = passed(text, "s3cr3t-value", "-----BEGIN\nsecond line\n")
    assert shown == saved == f"#6 0.4 token={MASK}\n#6 0.5 {MASK}\n#6 0.5 {MASK}\nno end {MASK}"


@given(st.text(alphabet="ab\n \r", max_size=60), st.integers(1, 9))
def test_what_is_neither_secret_nor_notice_passes_unchanged(text: str, part: int) -> None:
    """However it is parted."""
    assert passed(text, "zzzz", part=part) == (text, text)


@given(st.text(alphabet="abcd-", min_size=4, max_size=12), st.text(max_size=20), st.integers(1, 9))
def test_no_part_shows_a_secret(secret: str, around: str, part: int) -> None:
    """However the text that holds it is parted."""
    before = around.replace("\n", " ")
    shown, saved = passed(f"{before}|{secret}|{before}\n", secret, part=part)
    assert secret not in shown.replace(MASK, "")
    assert shown == saved
