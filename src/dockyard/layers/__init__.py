"""The files of images and of containers on the host, in whatever store the engine keeps them."""
