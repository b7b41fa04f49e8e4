"""How pages of the documentation are run: what is pasted, and when what is shown counts as what was written."""

import pytest

from tests.engines.pages import Step, matches, outputs, script, steps

PAGE = """\
Do this:

```sh
cd web
```

```yaml
port: 80
```

```console
$ echo a \\
> b
a b
$ true
$ ls
…
web
```
"""


def test_a_page_is_its_commands_in_order_with_what_it_shows():
    """Blocks of other languages are not run; the names of the page become the tests' own."""
    found = steps(PAGE, {"web": "dyt-web"})
    assert found == [Step("cd dyt-web\n"), Step("echo a \\\nb", "a b"), Step("true", ""), Step("ls", "…\ndyt-web")]


def test_what_each_step_has_written_is_told_apart():
    """A step after which the shell has ended has written nothing that counts."""
    assert script([Step("one"), Step("two")]).count("end of step") == 2
    assert outputs("a\nb\n\nend of step\n\nend of step\nhalf") == ["a\nb", ""]


@pytest.mark.parametrize(
    ("shown", "written"),
    [
        ("a  b", "a b\n"),
        ("a … c", "a b c"),
        ("…\nb", "1\n2\nb"),
        ("…\nb", "b"),
        ("a\n…", "a"),
        ("a\n…\nz", "a\nb\n\nc\nz"),
        ("a\nb", "a\n \nb"),
        ("", "\n"),
    ],
)
def test_what_is_shown_is_what_was_written(shown: str, written: str):
    """`…` stands for any text, alone in a line for any lines; blanks and empty lines do not count."""
    assert matches(shown, written)


@pytest.mark.parametrize(
    ("shown", "written"), [("a", "b"), ("a", "a\nb"), ("…\nb", "b\nc"), ("a … c", "a\nc"), ("", "a"), ("a.c", "abc")]
)
def test_what_is_not_shown_fails(shown: str, written: str):
    """Whatever the page does not show, or shows otherwise, is told."""
    assert not matches(shown, written)
