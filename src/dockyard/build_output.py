"""What a build writes, line by line, without the values of its secrets and without its client's notices."""

from dockyard.masking import Masker, known
from dockyard.telling import Listener


class BuildOutput:
    """Passes whole lines on to `show`, and returns them to be saved.

    `notice` are lines of the client that are dropped, as in Dialect.builder_notice.
    """

    def __init__(self, show: Listener, notice: tuple[str, ...] = (), masker: Masker = known) -> None:
        self._show = show
        self._notice = notice
        self._masked = masker.stream()
        self._rest = ""
        self._in_notice = False

    def write(self, text: str) -> str:
        """Pass on the lines that are whole by now."""
        *lines, self._rest = (self._rest + self._masked.write(text)).split("\n")
        return "".join(self._passed(f"{line}\n") for line in lines)

    def end(self) -> str:
        """Pass on a last line that does not end."""
        *lines, self._rest = (self._rest + self._masked.end()).split("\n")
        rest, self._rest = self._rest, ""
        return "".join(self._passed(f"{line}\n") for line in lines) + (self._passed(rest) if rest else "")

    def _passed(self, line: str) -> str:
        if self._is_of_notice(line.strip()):
            return ""
        self._show(line)
        return line

    def _is_of_notice(self, line: str) -> bool:
        """Return whether a line belongs to the client's notice, with the empty line after it."""
        was_in_notice = self._in_notice
        self._in_notice = line in (self._notice if was_in_notice else self._notice[:1])
        return self._in_notice or (was_in_notice and not line)
