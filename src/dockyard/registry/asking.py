"""Many questions at a time: registries beside each other, so that a slow one delays no other."""

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

from dockyard.errors import RegistryError

WORKERS = 6  # for one registry

Key = TypeVar("Key", bound=Hashable)
T = TypeVar("T")


def ask_all(
    tasks: Mapping[Key, Callable[[], T]], host_of: Callable[[Key], str] = lambda key: getattr(key, "host", "")
) -> dict[Key, T | RegistryError]:
    """Return the answer to each question, or its error, in the order of the questions.

    `host_of` says which registry a question is for; a Reference knows that itself. Once a registry limits requests,
    it is asked nothing more: all that is left for it has the same error.
    """
    groups: dict[str, deque[Key]] = defaultdict(deque)
    for key in tasks:
        groups[host_of(key)].append(key)
    work = [_Group(tasks, keys) for keys in groups.values()]
    threads = [
        threading.Thread(target=group.work, daemon=True) for group in work for _ in range(min(WORKERS, len(group.left)))
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:  # an interrupt: what is under way ends with the program
        for group in work:
            group.left.clear()
    answers = {key: answer for group in work for key, answer in group.answers.items()}
    if bug := next((group.bug for group in work if group.bug), None):
        raise bug
    return {key: answers[key] for key in tasks}


class _Group(Generic[Key, T]):
    """The questions for one registry, and the answers so far."""

    def __init__(self, tasks: Mapping[Key, Callable[[], T]], keys: deque[Key]) -> None:
        self._tasks = tasks
        self._limit: RegistryError | None = None
        self.left = keys
        self.answers: dict[Key, T | RegistryError] = {}
        self.bug: BaseException | None = None

    def work(self) -> None:
        """Ask what is left, until nothing is: several threads do."""
        while True:
            try:
                key = self.left.popleft()
            except IndexError:
                return
            try:
                self.answers[key] = self._limit or self._tasks[key]()
            except RegistryError as error:
                self.answers[key] = error
                if error.kind == "limited":
                    self._limit = error
            except BaseException as error:  # noqa: BLE001 - raised by the thread that asked
                self.bug = error
                self.left.clear()
