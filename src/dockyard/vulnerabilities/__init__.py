"""Vulnerabilities of images, as a scanner of the host's choice finds them: a new image is not to have more."""
