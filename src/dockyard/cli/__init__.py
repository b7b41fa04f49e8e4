"""The programs.

Most of them end before there is any garbage worth collecting; by default Python looks for it again and again while it
imports modules, which takes 4 ms of the 80 of `d ls`.
"""

import gc

gc.set_threshold(50_000)
