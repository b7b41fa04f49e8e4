"""Stand-ins for engines that are not available here: Docker 29 and podman 6, with only the verbs that we use.

Each holds images and containers in a directory of its own. A container is a process with an overlay of real
directories as its root, so that what reads layers and processes finds them as it would with the engine. Where they
answer otherwise than an engine that the tests do run on, a comment says from where that is known.
"""
