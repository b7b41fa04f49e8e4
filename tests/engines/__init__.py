"""Tests on real engines: the programs as child processes, docker and root podman, images built from scratch."""
