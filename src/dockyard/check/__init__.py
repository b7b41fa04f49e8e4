"""`d check`: finds what is wrong with services or could be better, without launching or changing anything.

A check is one function in the module of its topic, registered by a decorator; see registry.py.
"""
