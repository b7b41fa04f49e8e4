"""What is installed beside the code."""

from pathlib import Path

MAKEFILE = Path(__file__).with_name("dockyard.mk")
"""What a service's Makefile includes."""
