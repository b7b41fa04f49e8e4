"""Tests of a real installation, on a copy-on-write copy of this machine."""
