"""Mapping users, carried out: the files, the record of what was done to them, the engine's daemon."""
