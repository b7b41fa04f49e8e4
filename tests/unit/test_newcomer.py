"""What counts as a difference between a page and what its commands write."""

from tests.engines.pages import Step
from tests.newcomer import first_difference

WANTED = [Step("make demo"), Step("d ls", "hello  …\n")]


def test_what_a_page_shows_is_no_difference() -> None:
    """Steps that write what the page shows pass."""
    assert first_difference(WANTED, ["anything", "hello  prod"], "") == ""


def test_another_output_is_a_difference() -> None:
    """A step that writes something else is named, with both texts."""
    difference = first_difference(WANTED, ["anything", "goodbye"], "")
    assert difference == "$ d ls\ngoodbye\nnot\nhello  …\n\n"


def test_a_step_that_failed_is_a_difference() -> None:
    """The first step without an end is named, with the end of the output."""
    assert first_difference(WANTED, ["anything"], "no such file") == "$ d ls\nfailed:\nno such file\n"
