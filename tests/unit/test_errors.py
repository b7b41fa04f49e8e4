import pytest

from dockyard import errors
from dockyard.errors import DockyardError, EngineError, Problem, SettingsError


def _classes(base: type[DockyardError]) -> list[type[DockyardError]]:
    return [base, *(found for below in base.__subclasses__() for found in _classes(below))]


@pytest.mark.parametrize("error", _classes(DockyardError), ids=lambda error: error.__name__)
def test_every_error_has_an_exit_code_that_is_documented(error: type[DockyardError]):
    assert error.exit_code in errors.EXIT_CODES
    assert error.exit_code != 0


def test_the_exit_codes_are_those_of_the_manual():
    assert set(errors.EXIT_CODES) == {0, 1, 2, 3, 4, 5, 130}


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (errors.DockyardError, 1),
        (errors.NoSuchNameError, 1),
        (errors.EngineError, 1),
        (errors.TestFailedError, 1),
        (errors.UsageError, 2),
        (errors.SettingsError, 2),
        (errors.EngineUnreachableError, 3),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(error: type[DockyardError], exit_code: int):
    assert error.exit_code == exit_code


def test_an_error_is_a_message_and_a_hint():
    assert DockyardError("it broke", hint="mend it").lines() == ["it broke", "hint: mend it"]


def test_an_error_without_a_hint_is_one_line():
    assert DockyardError("it broke").lines() == ["it broke"]


def test_an_error_never_acts_on_the_terminal():
    assert DockyardError("a\x1b[2J", hint="b\r").lines() == [r"a\x1b[2J", r"hint: b\r"]


def test_problems_are_lines_with_their_hints_beneath():
    problems = [Problem("f:1:1", "bad", "try this"), Problem("f:2:1", "worse\x07")]
    assert SettingsError(problems).lines() == ["f:1:1: bad", "  hint: try this", r"f:2:1: worse\x07"]


def test_what_the_engine_said_is_in_its_error():
    error = EngineError(("docker", "run", "--env", "A=b"), 125, "no space left\n")
    assert str(error) == "`docker run` failed: no space left"


def test_an_engine_that_says_nothing_is_quoted_by_its_exit_code():
    assert str(EngineError(("docker", "run"), 125, " \n")) == "`docker run` failed: exit code 125"
