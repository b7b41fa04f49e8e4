"""`d check`: what is wrong with services, or could be better, found without launching or changing anything.

A check is one function in the module of its subject, registered where it is written; see registry.py.
"""
