"""Carries out the mapping of users: the files, the record of their changes, the engine's daemon."""
