"""The installation of dockyard on a host: which files it installs, and how exactly these are removed."""
