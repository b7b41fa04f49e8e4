"""Write docs/reference/ from the tables; `--check` tells whether it is up to date."""

import sys
from pathlib import Path

from dockyard.docs.commands import commands_page
from dockyard.docs.exit_codes import exit_codes_page
from dockyard.docs.host import environment_page, files_page
from dockyard.docs.rules import rules_page
from dockyard.docs.settings import host_file_page, settings_page
from dockyard.docs.switching import switching_page

REFERENCE = Path(__file__).parents[3] / "docs/reference"

PAGES = {
    "commands.md": commands_page,
    "cowscan-rules.md": rules_page,
    "environment.md": environment_page,
    "exit-codes.md": exit_codes_page,
    "files.md": files_page,
    "host-file.md": host_file_page,
    "settings.md": settings_page,
    "states-of-a-switch.md": switching_page,
}


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` say which are out of date."""
    stale = 0
    for name, page in PAGES.items():
        path = REFERENCE / name
        text = page()
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            sys.stderr.write(f"docs/reference/{name} is out of date\nhint: python -m dockyard.docs\n")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
