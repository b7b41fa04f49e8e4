"""What a build writes, line by line, without the values of its secrets and without its client's notices."""

from collections.abc import Iterable

from dockyard.telling import Listener

MASK = "********"
SHORTEST_MASKED = 4  # characters: what is shorter may stand for anything else


class BuildOutput:
    """Passes whole lines on to `show`, and returns them to be saved.

    `notice` are lines of the client that are dropped, as in Dialect.builder_notice; `secrets` are values of which each
    line is masked.
    """

    def __init__(self, show: Listener, notice: tuple[str, ...] = (), secrets: Iterable[str] = ()) -> None:
        self._show = show
        self._notice = notice
        lines = {line.strip() for value in secrets for line in value.splitlines()}
        self._masked = sorted((line for line in lines if len(line) >= SHORTEST_MASKED), key=len, reverse=True)
        self._rest = ""
        self._in_notice = False

    def write(self, text: str) -> str:
        """Pass on the lines that are whole by now."""
        *lines, self._rest = (self._rest + text).split("\n")
        return "".join(self._passed(f"{line}\n") for line in lines)

    def end(self) -> str:
        """Pass on a last line that does not end."""
        rest, self._rest = self._rest, ""
        return self._passed(rest) if rest else ""

    def _passed(self, line: str) -> str:
        if self._is_of_notice(line.strip()):
            return ""
        for value in self._masked:
            line = line.replace(value, MASK)
        self._show(line)
        return line

    def _is_of_notice(self, line: str) -> bool:
        """Return whether a line belongs to the client's notice, with the empty line after it."""
        was_in_notice = self._in_notice
        self._in_notice = line in (self._notice if was_in_notice else self._notice[:1])
        return self._in_notice or (was_in_notice and not line)
