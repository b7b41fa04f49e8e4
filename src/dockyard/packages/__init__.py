"""The packages of an image, read from its package managers' databases: nothing of the image is run."""
