"""Write docs/reference/ and the schema from the tables; `--check` reports files that are out of date."""

import sys
from collections.abc import Callable
from pathlib import Path

from dockyard.docs.checks import checks_page
from dockyard.docs.commands import commands_page
from dockyard.docs.engines import engines_page
from dockyard.docs.exit_codes import exit_codes_page
from dockyard.docs.host import environment_page, files_page
from dockyard.docs.rules import rules_page
from dockyard.docs.settings import host_file_page, settings_page
from dockyard.docs.switching import switching_page
from dockyard.docs.tested_engines import README, readme, tested_engines_page
from dockyard.settings import schema
from dockyard.settings.key import Scope
from dockyard.share import SCHEMA

REPOSITORY = Path(__file__).parents[3]
REFERENCE = REPOSITORY / "docs/reference"

PAGES: dict[str, Callable[[], str]] = {
    "checks.md": checks_page,
    "commands.md": commands_page,
    "cowscan-rules.md": rules_page,
    "engines.md": engines_page,
    "environment.md": environment_page,
    "exit-codes.md": exit_codes_page,
    "files.md": files_page,
    "host-file.md": host_file_page,
    "settings.md": settings_page,
    "states-of-a-switch.md": switching_page,
    "tested-engines.md": tested_engines_page,
}

FILES: dict[Path, Callable[[], str]] = {
    **{REFERENCE / name: page for name, page in PAGES.items()},
    SCHEMA: lambda: schema.text(Scope.SERVICE),
    README: readme,
}


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` print those that are out of date."""
    stale = 0
    for path, page in FILES.items():
        text = page()
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            sys.stderr.write(f"{path.relative_to(REPOSITORY)} is out of date\nhint: run `python -m dockyard.docs`\n")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
