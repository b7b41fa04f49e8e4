"""Completion of names. Where a name cannot be had, nothing is offered: a shell is no place for an error."""

from contextlib import suppress

import click
from click.shell_completion import CompletionItem

from dockyard.errors import DockyardError
from dockyard.yard import Yard


def services(_context: click.Context, _parameter: click.Parameter, beginning: str) -> list[CompletionItem]:
    """Complete the services of D_SRC_DIR and D_SRC_DIR2."""
    with suppress(DockyardError):
        return [CompletionItem(service.name) for service in Yard().services if service.name.startswith(beginning)]
    return []


def running(_context: click.Context, _parameter: click.Parameter, beginning: str) -> list[CompletionItem]:
    """Complete the running containers."""
    with suppress(DockyardError):
        names = (name for _, name in Yard().engine.running())
        return [CompletionItem(name) for name in names if name.startswith(beginning)]
    return []
