"""Help."""

from dockyard.cli.command import argument
from dockyard.cli.output import Result
from dockyard.cli.verb import VERBS, On, Verb, verb
from dockyard.share import COMPLETIONS
from dockyard.yard import Yard


@verb("help", "h", report=True, settles=False, options=(argument("word", nargs="?", default=""),))
def help_(_yard: Yard, word: str) -> Result:
    """Show all verbs, or those whose name or help contains a word."""
    found = [entry for entry in VERBS.values() if _is_about(entry, word)]
    data = [
        {"verb": entry.name, "aliases": entry.aliases, "on": entry.on.value, "usage": entry.usage, "help": entry.help}
        for entry in found
    ]
    if word and not found:
        return Result([f"no verb matches `{word}`"], data, exit_code=1)
    return Result(help_lines(found), data)


@verb("completion", report=False, settles=False, options=(argument("shell", choices=sorted(COMPLETIONS)),))
def completion(_yard: Yard, shell: str) -> Result:
    """Print the completion script for bash, zsh or fish: it completes verbs, services, containers and flags.

    bash: `d completion bash >/etc/bash_completion.d/dockyard`; zsh: `d completion zsh` to `_dockyard` in a directory of
    $fpath; fish: `d completion fish >~/.config/fish/completions/d.fish`.
    """
    return Result(COMPLETIONS[shell].read_text(encoding="utf-8").splitlines())


def _is_about(entry: Verb, word: str) -> bool:
    return word in {"", entry.name, *entry.aliases} or word.lower() in f"{entry.name} {entry.help}".lower()


def help_lines(verbs: list[Verb]) -> list[str]:
    """Return the verbs as a table, under their headings."""
    heads = [" ".join(filter(None, [entry.name, *entry.aliases, entry.usage])) for entry in verbs]
    width = max(map(len, heads))
    lines: list[str] = []
    topic = ""
    for head, entry in zip(heads, verbs, strict=True):
        if entry.topic != topic:
            topic = entry.topic
            lines += ["", topic] if lines else [topic]
        lines.append(f"  {head:{width}}  {entry.help}")
    if any(entry.on is not On.NOTHING for entry in verbs):
        lines += [
            "",
            "X is a name or a unique prefix; an exact match wins.",
        ]
    return lines
