"""`dockyard-python -m dockyard.testing SCRIPT [FLAGS]`: a Test in any language."""

import sys

from dockyard.testing.script import run_other

run_other(sys.argv[1:])
