"""All unit tests: the same examples each time, however long they take."""

from hypothesis import settings

settings.load_profile("ci")
