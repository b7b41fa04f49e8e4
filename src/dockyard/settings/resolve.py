"""Resolve layers of values into one value for each key. Pure: load.py reads the files."""

from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any, Generic, NamedTuple, TypeVar

from dockyard.settings.key import OVERRIDES, Key
from dockyard.settings.keys import KEYS
from dockyard.settings.values import Mode

T = TypeVar("T")


class Value(NamedTuple, Generic[T]):
    """A key's value; `source` in words, `spelling` as written (`test_network`), empty for a default."""

    value: T
    source: str
    spelling: str = ""

    @property
    def for_this_mode(self) -> bool:
        """Whether it was set for the mode that is launched: by a flag, or as `test_K` or `dev_K`."""
        return self.source.startswith("flag ") or self.spelling.startswith(OVERRIDES)


Layer = Mapping[str, Value[Any]]
"""The values of one source by canonical spelling, such as `foreground` or `test_foreground`."""


class Settings:
    """Every key's value in one mode."""

    def __init__(self, mode: Mode, values: Mapping[str, Value[Any]]) -> None:
        self.mode = mode
        self.values = values

    def __getitem__(self, key: Key[T]) -> T:
        return self.value(key).value

    def value(self, key: Key[T]) -> Value[T]:
        """Return the value with its source."""
        return self.values[key.name]

    def explain(self) -> list[tuple[str, Any, str]]:
        """Return each key, its value and its source, in the order of the table."""
        return [(name, value.value, value.source) for name, value in self.values.items()]


def resolve(layers: Iterable[Layer], mode: Mode, defaults: Mapping[str, Value[Any]]) -> Settings:
    """Return each key's value, from the first layer that has it in this mode. The first layer is the flags."""
    flags, *others = layers
    values = {}
    for name, key in KEYS.items():
        default = defaults.get(name) or Value(key.default_in(mode), "default")
        find = _combined if key.combine else _first_in
        values[name] = flags.get(name) or find(others, key, mode) or default
    return Settings(mode, values)


def _combined(layers: Iterable[Layer], key: Key[Any], mode: Mode) -> Value[Any] | None:
    """Return the merged value of all layers, the first the strongest, with all their sources."""
    found = [value for layer in layers if (value := _first_in([layer], key, mode))]
    if not key.combine or len(found) < 2:  # noqa: PLR2004 - two are combined
        return next(iter(found), None)
    together = reduce(key.combine, (value.value for value in found))
    return Value(together, " and ".join(value.source for value in found), found[0].spelling)


def _first_in(layers: Iterable[Layer], key: Key[Any], mode: Mode) -> Value[Any] | None:
    """Return the first value that counts. If `K` itself does not count, only its first value may, if it is shared."""
    counts = True
    for layer in layers:
        for prefix in key.spellings(mode):
            if prefix + key.name in layer:
                return layer[prefix + key.name]
        plain = layer.get(key.name)
        if plain and counts and plain.value in key.shared:
            return plain
        counts = counts and plain is None
    return None
